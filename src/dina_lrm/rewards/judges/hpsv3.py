"""HPSv3 (arXiv 2508.03789): Qwen2-VL reads instruction, prompt and image; a head at a special token gives (mu, sigma).

    (mu, sigma) = MLP(h)        h: last state at the token <|Reward|>;  score = mu

Two things are as its authors trained it, and not as Qwen2-VL does them: the tokens are numbered 0, 1, 2, ... on all
three axes of the rotary positions, those of the picture too; and the picture is scaled to about 256 x 28 x 28 pixels.

The published file has the weights of the whole model under the names of early releases of transformers. Configuration
and processor are those of Qwen2-VL-7B-Instruct. The instruction is a text of its authors: it is read from
`instruction.txt` beside the weights, or from their package `hpsv3` where that is installed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final, final

import torch
from accelerate import init_empty_weights
from jaxtyping import Float32, Int64
from PIL import Image
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoTokenizer,
    BaseImageProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLModel,
)

from dina_lrm.locate import locate_judge
from dina_lrm.model_folders import one_load_at_a_time
from dina_lrm.precision import default_device
from dina_lrm.reward_model.formats.stored import check_strictly, copy_strictly
from dina_lrm.rewards.base import PixelReward, check_images
from dina_lrm.rewards.judges.state_files import only_file, read_state_dict
from dina_lrm.typed import DinaError

REWARD_TOKEN: Final = "<|Reward|>"
PIXELS: Final = 256 * 28 * 28
"""Every image is scaled to about so many pixels."""
SIDE: Final = 28
"""Both sides are multiples of it: a token of the language model."""
THINNEST: Final = 200
"""The largest ratio of its sides that a picture may have."""
_BASE: Final = "Qwen/Qwen2-VL-7B-Instruct"
_BASE_FILES: Final = ("*.json", "*.txt", "*.jinja")
_WEIGHTS: Final = ("HPSv3*.safetensors", "*.safetensors", "*.pth")
_INSTRUCTION: Final = "instruction.txt"
_PICTURE: Final = "<|image_pad|>"


@final
@dataclass(frozen=True, eq=False)
class HpsV3(PixelReward):
    """The judge. `instruction` holds `{text_prompt}`, and the reward token once."""

    model: Qwen2VLModel
    head: nn.Sequential
    tokenizer: PreTrainedTokenizerFast
    images: BaseImageProcessor
    instruction: str
    name: str = "hpsv3"
    differentiable: ClassVar[bool] = False

    @classmethod
    def load(cls, model: str) -> HpsV3:
        """HPSv3 of a folder or hub id; Qwen2-VL's configuration and processor from the same folder, else the hub.

        Raises ValueError naming any missing, unexpected or misshapen tensor, and where there is no instruction.
        """
        folder = locate_judge(model, marker="*.*", allow_patterns=(_WEIGHTS[0], _INSTRUCTION))
        file = only_file(folder, *_WEIGHTS)
        base = folder if (folder / "config.json").is_file() else locate_judge(_BASE, allow_patterns=_BASE_FILES)
        tensors = dict(current_names(read_state_dict(file)))
        tokenizer, images = _readers(base)
        found = _model(base, tensors, str(file))
        place = torch.device(default_device())
        head = _head(tensors, str(file))
        return cls(found.to(place), head.to(place), tokenizer, images, _instruction(folder), f"hpsv3:{model}")

    @torch.no_grad()
    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """The mu of images in [0, 1], one prompt each."""
        check_images(self.name, inputs, prompts)
        pixels = (inputs.detach().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        scores = [self._score(Image.fromarray(image), text) for image, text in zip(pixels, prompts, strict=True)]
        return torch.stack(scores).to(inputs.device)

    def _score(self, image: Image.Image, prompt: str) -> Float32[Tensor, ""]:
        # Scaled here by Pillow: the file of the processor has limits of its own, which go before those it is given
        scaled = image.resize(scaled_size(*image.size), Image.Resampling.BICUBIC)
        seen = self.images(images=[scaled], do_resize=False, return_tensors="pt").to(self.model.device)
        tokens = self._tokens(prompt, int(seen["image_grid_thw"].prod()) // self.images.merge_size**2)
        batch = tokens[None].to(self.model.device)
        numbers = torch.arange(len(tokens), device=batch.device).expand(3, 1, -1)
        states = self.model(
            input_ids=batch, attention_mask=torch.ones_like(batch), position_ids=numbers, **seen
        ).last_hidden_state[0]
        at = (tokens == self.tokenizer.convert_tokens_to_ids(REWARD_TOKEN)).nonzero()
        assert len(at) == 1, f"{len(at)} reward tokens in the question"
        mu: Tensor = self.head(states[at[0, 0]].float())[0]
        return mu

    def _tokens(self, prompt: str, places: int) -> Int64[Tensor, " tokens"]:
        """The question, with one image token for each of the places that the picture takes."""
        for mark in (REWARD_TOKEN, _PICTURE):
            if mark in prompt:
                raise DinaError(f"{self.name}: the prompt {prompt[:60]!r} holds {mark}; accepted: prompts without it")
        content = [{"type": "image"}, {"type": "text", "text": self.instruction.format(text_prompt=prompt)}]
        asked = [{"role": "user", "content": content}]
        text = self.tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        return self.tokenizer(text.replace(_PICTURE, _PICTURE * places), return_tensors="pt").input_ids[0]


def scaled_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of a picture as HPSv3 sees it: multiples of 28 near its shape, of about `PIXELS` in all.

    Raises ValueError for a picture whose sides are more than 200 to 1.
    """
    if max(width, height) > THINNEST * min(width, height):
        raise DinaError(f"hpsv3: a picture of {width} x {height} pixels; accepted: sides of at most {THINNEST} to 1")
    near = [max(SIDE, round(length / SIDE) * SIDE) for length in (width, height)]
    if near[0] * near[1] > PIXELS:
        larger = math.sqrt(width * height / PIXELS)
        near = [math.floor(length / larger / SIDE) * SIDE for length in (width, height)]
    elif near[0] * near[1] < PIXELS:
        smaller = math.sqrt(PIXELS / (width * height))
        near = [math.ceil(length * smaller / SIDE) * SIDE for length in (width, height)]
    return near[0], near[1]


def current_names(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The published names as `Qwen2VLModel` and the head have them now; the word head, which no score needs, left out.

    visual.* stays, model.* (the language model) becomes language_model.*; names of later releases, which begin with
    model.visual and model.language_model, lose that beginning.
    """
    for name, tensor in tensors.items():
        if name.startswith("lm_head."):
            continue
        if name.startswith(("model.visual.", "model.language_model.")):
            yield name.removeprefix("model."), tensor
        elif name.startswith("model."):
            yield f"language_model.{name.removeprefix('model.')}", tensor
        else:
            yield name, tensor


def _model(base: Path, tensors: Mapping[str, Tensor], where: str) -> Qwen2VLModel:
    config: Any = AutoConfig.from_pretrained(base)
    words = tensors.get("language_model.embed_tokens.weight")
    if words is None:
        raise DinaError(f"{where}: no word embeddings; it holds {', '.join(list(tensors)[:5]) or 'nothing'}")
    # The published vocabulary has the reward token behind that of the base
    config.get_text_config().vocab_size = len(words)
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith("rm_head.")}
    # Buffers, which no file holds, are made; 8 billion weights are not drawn to be overwritten
    with one_load_at_a_time(), init_empty_weights(include_buffers=False):
        model = Qwen2VLModel(config)
    check_strictly(where, model.state_dict(), own)
    model.load_state_dict(own, assign=True)
    return model.eval().requires_grad_(False)


def _head(tensors: Mapping[str, Tensor], where: str) -> nn.Sequential:
    own = {name.removeprefix("rm_head."): t.float() for name, t in tensors.items() if name.startswith("rm_head.")}
    shapes = [own[f"{n}.weight"].shape for n in (0, 3, 5) if f"{n}.weight" in own]
    if len(shapes) != 3:
        raise DinaError(f"{where}: missing tensors: rm_head.0, .3 and .5 with weight and bias; it has {sorted(own)}")
    steps = [nn.Linear(shape[1], shape[0]) for shape in shapes]
    head = nn.Sequential(steps[0], nn.ReLU(), nn.Identity(), steps[1], nn.ReLU(), steps[2])
    copy_strictly(f"{where}: rm_head", head.state_dict(), own)
    return head.eval().requires_grad_(False)


def _readers(base: Path) -> tuple[PreTrainedTokenizerFast, BaseImageProcessor]:
    # Apart from each other: together they would ask for a video processor, which needs torchvision
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"additional_special_tokens": [REWARD_TOKEN]}, replace_extra_special_tokens=False)
    return tokenizer, AutoImageProcessor.from_pretrained(base)


def _instruction(folder: Path) -> str:
    if (folder / _INSTRUCTION).is_file():
        text = (folder / _INSTRUCTION).read_text(encoding="utf-8")
    else:
        try:
            published = import_module("hpsv3.dataset.data_collator_qwen")
        except ImportError as error:
            raise DinaError(
                f"{folder}: no {_INSTRUCTION}, and the package hpsv3, which holds the instruction that HPSv3 was "
                f"trained with, is not installed ({error}); accepted: either of them"
            ) from error
        text = published.INSTRUCTION + published.prompt_with_special_token
    if text.count(REWARD_TOKEN) != 1 or "{text_prompt}" not in text:
        raise DinaError(f"{folder}: the instruction must hold {{text_prompt}}, and {REWARD_TOKEN} once")
    return text
