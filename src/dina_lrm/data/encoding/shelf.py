"""Items become rows of tensors: gathered to batches, encoded, gathered to shards, stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from dina_lrm.data.cache.shards import Tensors

Item = TypeVar("Item")


class Shelf(Generic[Item]):
    """Collects the items of one table.

    `encode` turns a batch of items into tensors with one row each; `store` takes a finished shard. A shard is stored
    when it has reached `shard_bytes`, and it is a whole number of batches.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[Item]], Tensors],
        store: Callable[[Tensors], None],
        batch_size: int,
        shard_bytes: int,
    ) -> None:
        self._encode, self._store = encode, store
        self._batch_size, self._shard_bytes = batch_size, shard_bytes
        self._waiting: list[Item] = []
        self._encoded: list[Tensors] = []

    def add(self, item: Item) -> None:
        """Take the next item; encodes and stores when a batch or a shard is full."""
        self._waiting.append(item)
        if len(self._waiting) == self._batch_size:
            self._encode_waiting()
            if sum(tensor.nbytes for tensors in self._encoded for tensor in tensors.values()) >= self._shard_bytes:
                self._store_encoded()

    def finish(self) -> None:
        """Encode and store what is left."""
        if self._waiting:
            self._encode_waiting()
        if self._encoded:
            self._store_encoded()

    def _encode_waiting(self) -> None:
        self._encoded.append(self._encode(self._waiting))
        self._waiting = []

    def _store_encoded(self) -> None:
        columns: dict[str, list[Tensor]] = {}
        for tensors in self._encoded:
            for name, values in tensors.items():
                columns.setdefault(name, []).append(values)
        self._store({name: torch.cat(parts) for name, parts in columns.items()})
        self._encoded = []
