r"""Dropout whose masks are a function of the rows' names: the same however a batch is cut over processes.

    name      one number of 63 bits for each row: in training of seed, step and image (`training/randomness.py`)
    mask      keep[b, t, d] = hash(name_b, layer, t, d) >= p 2^32         t: token, d: channel; hash: 32 bits
    out       x keep / (1 - p)

The hash mixes a number of (name, layer, token) with one of (name, layer, channel) by the last steps of MurmurHash3
(A. Appleby, public domain). There is no generator whose state could be lost, and the numbers are those of any device.
A row of one name has one mask in a layer, at each of the noise levels that it is read at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, final

import torch
from jaxtyping import Bool, Int32, Int64
from torch import Tensor, nn

from dina_lrm.backbones.rows_read import RowsRead

_TOKEN, _CHANNEL, _LAYER = (each - (1 << 32) for each in (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D))
"""Odd numbers that spread what is counted over 32 bits (primes of xxHash), as signed integers."""
_FIRST, _SECOND = 0x85EBCA6B - (1 << 32), 0xC2B2AE35 - (1 << 32)
_HALF: Final = 1 << 31


@final
class ImageDropout(nn.Dropout):
    """Dropout by the names of the rows that are read; `layer` tells it from the others of its model."""

    def __init__(self, p: float, layer: int, rows: RowsRead) -> None:
        super().__init__(p)
        self._layer, self._rows = layer, rows

    def forward(self, input: Tensor) -> Tensor:  # its name in nn.Dropout
        """Drop and scale in training; hand everything through otherwise."""
        if not self.training:
            return input
        names = self._rows.names
        assert names is not None and len(names) == len(input), "dropout reads rows that nobody named"
        keep = kept(names, tuple(input.shape), self.p, self._layer)
        return torch.where(keep, input / (1 - self.p), 0)


def draw_by_rows(model: nn.Module, lender: nn.Module, rows: RowsRead) -> bool:
    """Let the dropout layers of `model` draw by the names of rows; whether there are any that drop something.

    `lender` is a generator that may hold the layers of the model's LoRA inside its own.
    """
    found = [module for module in model.modules() if isinstance(module, nn.Dropout) and module.p > 0]
    drawn = {module: ImageDropout(module.p, layer, rows) for layer, module in enumerate(found)}
    for parent in [*model.modules(), *lender.modules()]:
        for name, child in parent._modules.items():
            if child in drawn:
                parent._modules[name] = drawn[child].train(child.training)
    return bool(found)


def kept(names: Int64[Tensor, " rows"], shape: Sequence[int], p: float, layer: int) -> Bool[Tensor, "*axes"]:
    """What stays of a tensor of `shape`, whose first axis has rows of these names: each number by a chance of 1 - p.

    A mask of fewer tokens is the beginning of one of more.
    """
    tokens, width = math.prod(shape[1:-1]), shape[-1]
    salt = ((layer + 1) * _LAYER) % (1 << 32) - _HALF
    low, high = names.to(torch.int32), (names >> 32).to(torch.int32)
    count = [torch.arange(size, dtype=torch.int32, device=names.device) for size in (tokens, width)]
    of_token = _mixed(_mixed(low ^ salt)[:, None] + count[0] * _TOKEN)
    of_channel = _mixed(_mixed(high + salt)[:, None] + count[1] * _CHANNEL)
    drawn = _mixed(of_token[:, :, None] ^ of_channel[:, None, :])
    return (drawn >= round(p * (1 << 32)) - _HALF).view(tuple(shape))


def _mixed(value: Int32[Tensor, "*axes"]) -> Int32[Tensor, "*axes"]:
    """Every bit of each number depends on all bits of it (MurmurHash3, fmix32)."""
    value = value ^ _shifted(value, 16)
    value = value * _FIRST
    value = value ^ _shifted(value, 13)
    value = value * _SECOND
    return value ^ _shifted(value, 16)


def _shifted(value: Tensor, bits: int) -> Tensor:
    """To the right, with zeros from the left: the type is signed."""
    return (value >> bits) & ((1 << 32 - bits) - 1)
