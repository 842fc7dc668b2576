"""The convolutional judge of the synthetic world's pictures: a reward of pixels that shares no weights with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float32
from torch import Tensor

from dina_lrm.locate import locate_judge
from dina_lrm.rewards.base import PixelReward, check_images, ready
from dina_lrm.rewards.judges.state_files import fill, read_state_dict
from dina_lrm.synthetic.pixel_judges import WEIGHTS, ConvJudge, tokenized, vocabulary_size
from dina_lrm.synthetic.vocabulary import IMAGE_SIZE
from dina_lrm.typed import DinaError


@final
@dataclass(frozen=True, eq=False)
class CnnReward(PixelReward):
    """A `ConvJudge` by the folder of its weights; "synthetic-cnn" is bundled."""

    model: ConvJudge
    name: str = "cnn"
    differentiable: ClassVar[bool] = True

    @classmethod
    def load(cls, model: str) -> CnnReward:
        """Read the weights. Raises ValueError for a folder without them, and for others than a ConvJudge's."""
        folder = locate_judge(model, marker=WEIGHTS)
        judge = ConvJudge(vocabulary_size())
        fill(judge, read_state_dict(folder / WEIGHTS), str(folder / WEIGHTS))
        return cls(ready(judge), "cnn" if model == "synthetic-cnn" else f"cnn:{model}")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of pictures of the synthetic world, 32 x 32. Raises ValueError for others."""
        check_images(self.name, inputs, prompts)
        if inputs.shape[2:] != (IMAGE_SIZE, IMAGE_SIZE):
            raise DinaError(f"{self.name}: images of {tuple(inputs.shape[2:])}; accepted: {IMAGE_SIZE} x {IMAGE_SIZE}")
        device = next(self.model.parameters()).device
        return self.model(2 * inputs.to(device, torch.float32) - 1, tokenized(prompts).to(device))
