"""A vision-language model that is asked for a score, and its answer read: UnifiedReward, UnifiedReward-Think and kin.

The answer ends with a line such as `Final Score: 3.5`, within `<answer>` tags where the model thinks first. An answer
without a number is a missing score (NaN), counted in `unread`; it is never 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, final

import torch
from jaxtyping import Float32
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel, ProcessorMixin

from dina_lrm.backbones.dtype_argument import for_transformers
from dina_lrm.locate import locate_judge
from dina_lrm.model_folders import expect_safetensors, loading
from dina_lrm.precision import default_device
from dina_lrm.rewards.base import PixelReward, check_images

QUESTION: Final = (
    "You are given a text caption and an image generated from it. Rate how well the image matches the caption and how "
    "good it looks, with one number from 1 (worst) to 5 (best). End your answer with a line of the form "
    "'Final Score: X'.\n\nCaption: {prompt}"
)
_NUMBER = r"([-+]?\d+(?:\.\d+)?)"
_LINE: Final = re.compile(rf"final\s+score\s*[:=]?\s*\**\s*{_NUMBER}", re.IGNORECASE)
_ANSWER: Final = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.IGNORECASE | re.DOTALL)
_ALONE: Final = re.compile(rf"\s*{_NUMBER}\s*(?:/\s*\d+)?\s*\.?\s*")


def read_score(answer: str) -> float | None:
    """The score that an answer ends with, None where there is none.

    The last `Final Score: X` counts; without one, an answer (or what stands in its `<answer>` tags) that is a number.
    """
    told = _ANSWER.findall(answer)
    text = told[-1] if told else answer
    lines = _LINE.findall(text)
    if lines:
        return float(lines[-1])
    alone = _ALONE.fullmatch(text)
    return float(alone.group(1)) if alone else None


@final
@dataclass(eq=False)
class VlmJudge(PixelReward):
    """A transformers image-text-to-text model, asked `question` about each image; greedy, so that answers repeat."""

    model: PreTrainedModel
    processor: ProcessorMixin
    question: str = QUESTION
    max_new_tokens: int = 256
    name: str = "vlm"
    unread: list[str] = field(default_factory=list)
    """Answers without a score."""
    differentiable: ClassVar[bool] = False

    @classmethod
    def load(cls, model: str) -> VlmJudge:
        """The model of a folder or hub id; on a GPU where there is one."""
        folder = locate_judge(model)
        expect_safetensors(folder)
        with loading(folder):
            found = AutoModelForImageTextToText.from_pretrained(
                folder, **for_transformers("auto"), use_safetensors=True, trust_remote_code=False
            )
            processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
        device = default_device()
        return cls(found.to(device).eval().requires_grad_(False), processor, name=f"vlm:{model}")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images in [0, 1], one prompt each, NaN where the answer holds none."""
        check_images(self.name, inputs, prompts)
        pixels = (inputs.detach().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        answers = [self.answer(Image.fromarray(image), prompt) for image, prompt in zip(pixels, prompts, strict=True)]
        scores = [read_score(answer) for answer in answers]
        self.unread += [answer for answer, score in zip(answers, scores, strict=True) if score is None]
        return torch.tensor([float("nan") if score is None else score for score in scores], device=inputs.device)

    @torch.no_grad()
    def answer(self, image: Image.Image, prompt: str) -> str:
        """What the model says about an image."""
        content = [{"type": "image", "image": image}, {"type": "text", "text": self.question.format(prompt=prompt)}]
        given = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self.model.device)
        said = self.model.generate(**given, max_new_tokens=self.max_new_tokens, do_sample=False)
        return str(self.processor.decode(said[0, given["input_ids"].shape[1] :], skip_special_tokens=True))
