"""FLOPs and memory of a computation, counted on tensors that may have no storage (device "meta")."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

DTYPE: Final = torch.bfloat16
META: Final = torch.device("meta")


def without_storage(build: Callable[[], nn.Module]) -> Any:  # noqa: ANN401 - a module of any library
    """The module on "meta", in bfloat16, in eval mode, its weights frozen."""
    with META:
        model = build().eval().requires_grad_(False)
    # diffusers' own `to` warns of layers that are to stay in float32: of shapes alone, none matters
    return nn.Module.to(model, DTYPE)


def empty(*shape: int) -> Tensor:
    """A tensor on "meta" in bfloat16."""
    return torch.empty(*shape, device=META, dtype=DTYPE)


@dataclass(frozen=True)
class Cost:
    """FLOPs of a forward and of its backward, and bytes kept between them. A multiplication and an addition are two."""

    forward: float = 0.0
    backward: float = 0.0
    saved_bytes: float = 0.0
    parameters: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.forward + other.forward,
            self.backward + other.backward,
            self.saved_bytes + other.saved_bytes,
            self.parameters + other.parameters,
        )

    def without_weights(self) -> Cost:
        """The same by weights that are there already."""
        return replace(self, parameters=0)

    def times(self, factor: int) -> Cost:
        """The cost of doing it `factor` times with the same weights."""
        return Cost(self.forward * factor, self.backward * factor, self.saved_bytes * factor, self.parameters)

    @property
    def flops(self) -> float:
        """Forward and backward."""
        return self.forward + self.backward

    def forward_only(self) -> Cost:
        """The same without a graph."""
        return Cost(self.forward, 0.0, 0.0, self.parameters)


def count(
    run: Callable[[], Tensor], backward: bool, modules: tuple[nn.Module, ...] = (), sequences: tuple[int, ...] = ()
) -> Cost:
    """Count `run`, whose result is one tensor, and where `backward` is set its gradient with respect to what asks for
    one.

    `modules` are those whose parameters are counted. Weights that ask for no gradient cost none, as with LoRA. Kept
    matrices of attention over sequences of the lengths `sequences` are left out: fused attention computes them again.
    """
    parameters = sum(parameter.numel() for module in modules for parameter in module.parameters())
    counter = FlopCounterMode(display=False)
    with torch.set_grad_enabled(backward), _saved_bytes(modules, sequences) as saved, counter:
        found = run()
        forward = float(counter.get_total_flops())
        if backward:
            found.sum().backward()
    return Cost(forward, counter.get_total_flops() - forward, float(sum(saved.values())), parameters)


def by_batch(cost: Callable[[int], Cost], batch: int) -> Cost:
    """The cost of `batch` items from counts of one and of two: all but what the items share grows with their number."""
    one = cost(1)
    if batch == 1:
        return one
    two = cost(2)
    return Cost(
        one.forward + (batch - 1) * (two.forward - one.forward),
        one.backward + (batch - 1) * (two.backward - one.backward),
        one.saved_bytes + (batch - 1) * (two.saved_bytes - one.saved_bytes),
        one.parameters,
    )


@contextmanager
def _saved_bytes(modules: tuple[nn.Module, ...], sequences: tuple[int, ...]) -> Iterator[dict[int, int]]:
    """Bytes of every distinct tensor that autograd keeps, weights and attention matrices left out."""
    weights = {id(parameter) for module in modules for parameter in module.parameters()}
    saved: dict[int, int] = {}
    alive: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        attention = tensor.ndim >= 3 and tensor.shape[-1] == tensor.shape[-2] and tensor.shape[-1] in sequences
        if id(base) not in weights and id(base) not in saved and not attention:
            saved[id(base)] = base.numel() * base.element_size()
            alive.append(base)  # an id is that of one tensor only while it lives
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield saved
