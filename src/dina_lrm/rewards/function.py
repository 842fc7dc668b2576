"""Any Python callable as a reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, final

import torch
from jaxtyping import Float32
from torch import Tensor

from dina_lrm.rewards.base import RewardKind

Function = Callable[[Tensor, Sequence[str]], Any]


@final
@dataclass(frozen=True, eq=False)
class FunctionReward:
    """Scores of `function(inputs, prompts)`: a tensor, or a sequence of numbers with None where there is none."""

    function: Function
    name: str = "function"
    kind: RewardKind = "pixel"
    differentiable: bool = False

    @classmethod
    def load(cls, model: str) -> FunctionReward:
        """The function "MODULE.NAME". Raises ValueError when there is none."""
        module, _, name = model.rpartition(".")
        try:
            function = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"python:{model}: no such function ({error}); accepted: python:MODULE.FUNCTION") from error
        if not callable(function):
            raise ValueError(f"python:{model} is a {type(function).__name__}; accepted: a function")
        return cls(function, f"python:{model}")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores, NaN where the function gives None. Raises ValueError when their number is not that of the inputs."""
        if len(inputs) != len(prompts):
            raise ValueError(
                f"{self.name}: {len(inputs)} inputs, {len(prompts)} prompts; accepted: one prompt an input"
            )
        found = self.function(inputs, prompts)
        if not isinstance(found, Tensor):
            found = torch.tensor([float("nan") if score is None else float(score) for score in found])
        if found.shape != (len(inputs),):
            raise ValueError(
                f"{self.name}: {tuple(found.shape)} scores of {len(inputs)} inputs; accepted: one an input"
            )
        return found.float() if self.differentiable else found.detach().float()
