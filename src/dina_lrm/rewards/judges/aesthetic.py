"""LAION's improved aesthetic predictor: how an image looks, whatever it was made for.

    score = W (f(x) / |f(x)|)      f: the projected embedding of CLIP ViT-L/14; W: five linear layers; about 1 to 10

It is the aesthetic score of MPCF (data/filtering.py). The predictor is published as one file of 4 MB,
`sac+logos+ava1-l14-linearMSE.pth`, apart from the CLIP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, final

from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from dina_lrm.locate import locate_judge
from dina_lrm.rewards.base import PixelReward, check_images, ready
from dina_lrm.rewards.judges.clip import ClipTowers
from dina_lrm.rewards.judges.score_mlp import ScoreMlp
from dina_lrm.rewards.judges.state_files import fill, only_file, read_state_dict

_CLIP_L: Final = "openai/clip-vit-large-patch14"
_WEIGHTS: Final = ("*linearMSE.pth", "*.pth")


@final
@dataclass(frozen=True, eq=False)
class Aesthetic(PixelReward):
    """The predictor on its CLIP; the prompts do not matter."""

    towers: ClipTowers
    predictor: ScoreMlp
    name: str = "aesthetic"
    differentiable: ClassVar[bool] = True

    @classmethod
    def load(cls, model: str) -> Aesthetic:
        """The predictor in a folder or hub repository; its CLIP is taken from there too, else from the hub.

        Raises ValueError naming what is missing or does not fit.
        """
        folder = locate_judge(model, marker="*.pth", allow_patterns=_WEIGHTS)
        file = only_file(folder, *_WEIGHTS)
        tensors = read_state_dict(file)
        predictor = ScoreMlp.shaped_like(tensors)
        fill(predictor, tensors, str(file))
        # Its CLIP is run by OpenAI's own package, which cuts pictures with torchvision
        towers = ClipTowers.load(str(folder) if (folder / "config.json").is_file() else _CLIP_L, cut="even")
        return cls(towers, ready(predictor), f"aesthetic:{model}")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images in [0, 1]."""
        check_images(self.name, inputs, prompts)
        return self.predictor(F.normalize(self.towers.embed(inputs), dim=-1))
