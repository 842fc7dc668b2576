"""Any Python callable as a reward.

def dark(images: Tensor, prompts: Sequence[str]) -> Tensor:      # my_rewards.py
    return -images.mean(dim=(1, 2, 3))                           # images: float32 (batch, 3, height, width) in [0, 1]

load_reward("python:my_rewards.dark")
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, final

import torch
from jaxtyping import Float32
from torch import Tensor

from dina_lrm.rewards.base import BoundReward, HostGenerator, OnLatents, OnPictures, RewardKind
from dina_lrm.typed import DinaError

Function = Callable[[Tensor, Sequence[str]], Any]


@final
@dataclass(frozen=True, eq=False)
class FunctionReward:
    """Scores of `function(inputs, prompts)`: a tensor, or a sequence of numbers with None where there is none.

    Where it is `differentiable`, inputs that need a gradient get one, or an error that says why not.
    """

    function: Function
    name: str = "function"
    kind: RewardKind = "pixel"
    differentiable: bool = False

    @classmethod
    def load(cls, model: str) -> FunctionReward:
        """The function "MODULE.NAME", of an installed module or one in the working directory.

        Whether it has a gradient shows when one is asked for. Raises ValueError when there is no such function.
        """
        module, _, name = model.rpartition(".")
        try:
            with _working_directory_importable():
                function = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise DinaError(f"python:{model}: no such function ({error}); accepted: python:MODULE.FUNCTION") from error
        if not callable(function):
            raise DinaError(f"python:{model} is a {type(function).__name__}; accepted: a function")
        return cls(function, f"python:{model}", differentiable=True)

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores, NaN where the function gives None.

        Raises ValueError when the function fails, when their number is not that of the inputs, and when they have no
        gradient where the inputs need one.
        """
        if len(inputs) != len(prompts):
            raise DinaError(f"{self.name}: {len(inputs)} inputs, {len(prompts)} prompts; accepted: one prompt an input")
        try:
            found = self.function(inputs, prompts)
            if not isinstance(found, Tensor):
                found = torch.tensor([float("nan") if score is None else float(score) for score in found])
        except Exception as error:
            raise DinaError(f"{self.name}: {type(error).__name__}: {error}") from error
        if found.shape != (len(inputs),):
            raise DinaError(f"{self.name}: {tuple(found.shape)} scores of {len(inputs)} inputs; accepted: one an input")
        if not self.differentiable:
            return found.detach().float()
        if inputs.requires_grad and not found.requires_grad:
            raise DinaError(
                f"{self.name}: its scores have no gradient with respect to the inputs, which ReFL and guidance need; "
                "accepted: torch operations from the inputs to a tensor of scores, or Flow-GRPO"
            )
        return found.float()

    def bound_to(self, generator: HostGenerator) -> BoundReward:
        """Bind to a generator, whose pictures or latents it then scores."""
        return OnPictures(self, generator) if self.kind == "pixel" else OnLatents(self)


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    """Let modules of the working directory be imported, as `python -m` does; what is installed comes first."""
    sys.path.append("")
    try:
        yield
    finally:
        sys.path.remove("")
