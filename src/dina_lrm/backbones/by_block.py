"""A model whose weights wait in a narrower type, or on another device, than it computes in: block by block.

A text encoder that is stored in 16 bits stays as its file has it, mapped into memory. The weights of a block are cast,
and moved where that is elsewhere, while it runs, and let go behind it: the numbers are those of the model cast as
a whole, and what is new in memory is one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


def compute_by_block(module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Have `module` compute on `device` in `dtype`, wherever and in whatever type its weights stay; returns it.

    Its buffers move now. A table of embeddings stays whole where it is: rows are taken from it, then cast.
    """
    for part in module.modules():
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to(device)
    for block, whole in {id(block): (block, whole) for block, whole in _blocks(module)}.values():
        # A subclass may scale the rows by a number in the type of the table
        rows = type(block) is nn.Embedding
        (_Rows(device, dtype) if rows else _Lent(device, dtype, whole=whole)).hook(block)
    return module


def casts_exactly(module: nn.Module, dtype: torch.dtype) -> bool:
    """Whether nothing but weights is in a narrower type than `dtype`: numbers that a model computed for itself when it
    was made (scales, frequencies) were rounded then, and casting does not bring them back.
    """
    buffers = (buffer for buffer in module.buffers() if buffer.is_floating_point())
    return all(buffer.dtype.itemsize >= dtype.itemsize for buffer in buffers)


def _blocks(module: nn.Module) -> Iterator[tuple[nn.Module, bool]]:
    """Entries of lists of layers, whole, and outside these every module that holds weights itself, by itself."""
    if isinstance(module, nn.ModuleList):
        yield from ((block, True) for block in module)
        return
    if module._parameters:
        yield module, False
    for child in module.children():
        yield from _blocks(child)


class _Lent:
    """The weights of a block, in whose places others stand while it runs: cast, and on the device."""

    def __init__(self, device: torch.device, dtype: torch.dtype, *, whole: bool) -> None:
        self._device, self._dtype, self._whole = device, dtype, whole
        self._waiting: list[tuple[nn.Module, str, nn.Parameter]] = []

    def hook(self, block: nn.Module) -> None:
        block.register_forward_pre_hook(self._lend)
        block.register_forward_hook(self._take_back, always_call=True)

    def _lend(self, block: nn.Module, given: tuple[Any, ...]) -> None:
        inside = block.modules() if self._whole else (block,)
        self._waiting = [
            (part, name, weight) for part in inside for name, weight in part._parameters.items() if weight is not None
        ]
        for part, name, weight in self._waiting:
            dtype = self._dtype if weight.is_floating_point() else weight.dtype
            part._parameters[name] = nn.Parameter(weight.to(self._device, dtype), requires_grad=False)

    def _take_back(self, block: nn.Module, given: tuple[Any, ...], output: Any) -> None:  # noqa: ANN401
        for part, name, weight in self._waiting:
            part._parameters[name] = weight
        self._waiting = []


class _Rows:
    """A table of embeddings, looked up where it is."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype

    def hook(self, table: nn.Module) -> None:
        table.register_forward_pre_hook(self._bring)
        table.register_forward_hook(self._cast)

    def _bring(self, table: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        held = next(table.parameters()).device
        return tuple(ids.to(held) if isinstance(ids, Tensor) else ids for ids in given)

    def _cast(self, table: nn.Module, given: tuple[Any, ...], rows: Tensor) -> Tensor:
        return rows.to(self._device, self._dtype)
