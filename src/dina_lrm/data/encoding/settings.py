"""How comparisons are encoded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch

from dina_lrm.data.buckets import Sizes
from dina_lrm.typed import DinaError, require

OnBad = Literal["raise", "skip"]
PairBuckets = Literal["own", "common"]
SHARD_BYTES: Final = 128 * 2**20
DTYPES: Final = (torch.float32, torch.float16, torch.bfloat16)


def dtype_name(dtype: torch.dtype) -> str:
    """A type as `cache.json` calls it, such as "bfloat16"."""
    return str(dtype).removeprefix("torch.")


@dataclass(frozen=True)
class EncodingSettings:
    """How comparisons are encoded; `sizes` are those that pictures are brought to, `dtype` is the type of storage.

    `batch_size` rows go through an encoder at once; a shard is a whole number of batches, and takes `shard_bytes` at
    most where one batch does. `pair_buckets`: each picture of a pair in the bucket that changes it least, or both in
    one. `workers` threads read pictures.
    """

    sizes: Sizes
    batch_size: int = 16
    dtype: torch.dtype = torch.float32
    shard_bytes: int = SHARD_BYTES
    on_bad: OnBad = "skip"
    pair_buckets: PairBuckets = "own"
    workers: int = min(8, os.cpu_count() or 1)

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(self.pair_buckets in get_args(PairBuckets), "pair_buckets", self.pair_buckets, "own, common")
        if self.dtype not in DTYPES:
            raise DinaError(f"dtype is {self.dtype}; accepted: torch.float32, torch.float16, torch.bfloat16")

    @property
    def dtype_name(self) -> str:
        """The type as `cache.json` calls it."""
        return dtype_name(self.dtype)

    def rows_of_a_shard(self, bytes_of_a_row: int) -> int:
        """How many rows of so many bytes a shard has: a whole number of batches, at least one."""
        return max(self.shard_bytes // max(bytes_of_a_row, 1) // self.batch_size, 1) * self.batch_size
