"""Memory that rows are read into again and again: pages of fresh memory cost more than the reading."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor


class RowBuffers:
    """What it holds is gone when the next rows are read into it: for batches that are done with before the next."""

    def __init__(self) -> None:
        self._held: dict[str, Tensor] = {}
        self._parts: dict[Hashable, RowBuffers] = {}

    def take(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor in the memory kept under `name`, which grows where it is too small; its values are anything."""
        size = int(torch.Size(shape).numel()) * dtype.itemsize
        if name not in self._held or self._held[name].numel() < size:
            self._held[name] = torch.empty(size, dtype=torch.uint8)
        return self._held[name][:size].view(dtype).view(*shape)

    def within(self, part: Hashable) -> RowBuffers:
        """Memory of its own for a part, the same whenever that part is asked for."""
        return self._parts.setdefault(part, RowBuffers())


def cast_into(values: Tensor, dtype: torch.dtype, name: str, into: RowBuffers | None) -> Tensor:
    """The values in another type, in the memory of `into` where that is given; as they are where they have it."""
    if into is None or values.dtype == dtype:
        return values.to(dtype)
    return into.take(name, values.shape, dtype).copy_(values)


def chosen_into(values: Tensor, rows: Tensor, name: str, into: RowBuffers | None) -> Tensor:
    """Copies of rows, in the memory of `into` where that is given."""
    if into is None:
        return values[rows]
    return torch.index_select(values, 0, rows, out=into.take(name, (len(rows), *values.shape[1:]), values.dtype))
