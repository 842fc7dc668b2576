"""The linear layers that ImageReward and the aesthetic predictor put behind an encoder: no activations between."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.typed import DinaError


class ScoreMlp(nn.Module):
    """Features (batch, width) to one number each; named as published: `layers.0`, `.2`, `.4`, `.6`, `.7`."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(widths)):
            steps.append(nn.Linear(before, after))
            # Dropout, which scoring leaves out, takes a number behind all but the last two
            if number < len(widths) - 3:
                steps.append(nn.Identity())
        self.layers = nn.Sequential(*steps)

    @classmethod
    def shaped_like(cls, tensors: Mapping[str, Tensor], prefix: str = "") -> ScoreMlp:
        """The layers that the tensors `prefix`layers.N.weight belong to. Raises ValueError where there are none."""
        weights = {
            int(name.removeprefix(prefix).split(".")[1]): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"{prefix}layers.") and name.endswith(".weight")
        }
        if not weights:
            raise DinaError(f"no tensor {prefix}layers.0.weight among {', '.join(list(tensors)[:5]) or 'none'}")
        ordered = [weights[number] for number in sorted(weights)]
        return cls((ordered[0].shape[1], *(weight.shape[0] for weight in ordered)))

    def forward(self, features: Float[Tensor, "batch width"]) -> Float[Tensor, " batch"]:
        """One number each."""
        return self.layers(features)[:, 0]
