"""A cache written anew: in shards of another size, its images in the order in which they are read, in another type.

Comparisons and prompts keep their order and their numbers, so that a run meets the same batches and draws the same
noise. The images of a bucket come in the order of the prompts that they were made for, so that those of a batch lie
beside one another; images that nobody may read (of a merged cache, or broken ones) are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import torch
from jaxtyping import Int64
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.cache import format as layout
from dina_lrm.data.cache import tables
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.format import CacheHeader
from dina_lrm.data.cache.prompt_layout import packed, row_hashes
from dina_lrm.data.cache.remote.copies import LocalCopies
from dina_lrm.data.cache.shards import ShardedRows, ShardInfo, shard_name, write_shard
from dina_lrm.runs.files import folder_replaced_when_complete
from dina_lrm.typed import require

StoredType = Literal["float32", "float16", "bfloat16"]
SHARD_BYTES: Final = 128 * 2**20


@dataclass(frozen=True)
class Repacked:
    """The new cache's header, and what was: content, type, number of shards; `left_out` images nobody may read."""

    header: CacheHeader
    content_before: str
    dtype_before: str
    shards_before: int
    left_out: int

    @property
    def same_content(self) -> bool:
        """Whether it holds what the other one holds."""
        return self.header.content == self.content_before

    def __str__(self) -> str:
        """In a sentence."""
        shards = f"{len(self.header.shards)} shards instead of {self.shards_before}"
        left = f", {self.left_out} images that nobody reads left out" if self.left_out else ""
        if self.same_content:
            return f"{shards}{left}; every row and the content are the same"
        why = f"{self.dtype_before} became {self.header.dtype}"
        why = why if self.dtype_before != self.header.dtype else "it is counted as format 2 counts it"
        return f"{shards}{left}; the content is another one, since {why}"


def repack_cache(
    cache: Path | str,
    out: Path,
    shard_bytes: int = SHARD_BYTES,
    dtype: str | None = None,
    copies: LocalCopies | None = None,
) -> Repacked:
    """Write a cache (a folder, or an address) anew into the folder `out`, which appears when it is complete.

    A shard takes `shard_bytes` at most, its prompts counted with padding, or holds one row. `dtype` is another type of
    the numbers; None keeps it, and every row stays the same to the bit. Every row is compared with its hash. Of another
    type no shard can be written again by `prepare --only`, since its numbers were rounded twice.

    Raises:
        FileExistsError: `out` exists.
        FileNotFoundError: there is no complete cache.
        ValueError: a size below 1, another type, or numbers that the type cannot hold, with their shard and row.
    """
    require(shard_bytes >= 1, "shard_bytes", shard_bytes, "at least 1")
    require(dtype is None or dtype in get_args(StoredType), "dtype", dtype, ", ".join(get_args(StoredType)))
    if out.exists():
        raise FileExistsError(f"{out} exists; choose another folder, or remove it first")
    data = EncodedComparisons.load(cache, copies=copies)
    header = data.header
    assert header is not None
    return _Repacking(data, header, shard_bytes, dtype).write(out)


class _Repacking:
    def __init__(self, data: EncodedComparisons, header: CacheHeader, shard_bytes: int, dtype: str | None) -> None:
        self.data, self.header, self.shard_bytes, self.dtype = data, header, shard_bytes, dtype
        self.images = [list[Sequence[Any]]() for _ in header.buckets]
        for row in data.told.images():
            self.images[row[0]].append(row)
        self.orders = [self._order(bucket) for bucket in range(len(header.buckets))]
        self.image_hashes = [list[str]() for _ in header.buckets]
        self.prompt_hashes: list[str] = []

    def write(self, out: Path) -> Repacked:
        """Shards first, then the tables, which hold their hashes."""
        with folder_replaced_when_complete(out) as folder:
            buckets = tuple(
                dataclasses.replace(bucket, shards=tuple(self._latents(folder, number)))
                for number, bucket in enumerate(self.header.buckets)
            )
            made_by = dataclasses.replace(
                self.header,
                buckets=buckets,
                prompts=tuple(self._prompts(folder)),
                dtype=self.dtype or self.header.dtype,
                encode_batch=self.header.encode_batch if self._keeps_type else None,
                format_version=layout.FORMAT_VERSION,
            )
            missing = (dataclasses.astuple(entry) for entry in self.data.missing)
            told = tables.Tables(self._pair_rows(), self._prompt_rows(), missing, self._image_rows())
            header = tables.write_tables(folder, made_by, told)
        left_out = sum(map(len, self.images)) - sum(map(len, self.orders))
        before = self.header
        return Repacked(header, before.content, before.dtype, len(before.shards), left_out)

    @property
    def _keeps_type(self) -> bool:
        return self.dtype in (None, self.header.dtype)

    def _order(self, bucket: int) -> Int64[Tensor, " rows"]:
        """Rows of a bucket in the order in which a reader that goes by prompts meets them, then the others."""
        pairs = self.data.pairs
        looks = [
            torch.stack([pairs.prompt[chosen], torch.arange(len(pairs))[chosen], image[chosen]], dim=1)
            for of, image in ((pairs.bucket_a, pairs.image_a), (pairs.bucket_b, pairs.image_b))
            for chosen in [of == bucket]
        ]
        met = sorted(map(tuple, torch.cat(looks).tolist()))
        rest = (row for row, told in enumerate(self.images[bucket]) if told[-1])
        return torch.tensor([*dict.fromkeys([*(row for *_, row in met), *rest])], dtype=torch.long)

    def _latents(self, folder: Path, bucket: int) -> Iterator[ShardInfo]:
        table, prefix = self.data.latents[bucket], layout.latents_prefix(bucket)
        for number, rows in enumerate(self._cut(table, self.orders[bucket])):
            tensors = self._typed(table.rows(rows))
            self.image_hashes[bucket] += row_hashes(tensors)
            yield write_shard(folder, shard_name(prefix, number), tensors)

    def _prompts(self, folder: Path) -> Iterator[ShardInfo]:
        table = self.data.conditioning
        for number, rows in enumerate(self._cut(table, torch.arange(len(table)))):
            columns = self._typed(table.rows(rows))
            told = Conditioning(**columns, truncated=None)
            tensors = packed(told, self.header.backbone.prompt_layout(told.shape))
            self.prompt_hashes += row_hashes(tensors)
            yield write_shard(folder, shard_name(layout.PROMPTS_PREFIX, number), tensors)

    def _cut(self, table: ShardedRows, rows: Int64[Tensor, " rows"]) -> Iterator[Int64[Tensor, " shard"]]:
        """The rows of each shard."""
        if not len(rows):
            return
        first = self._typed(table.rows(rows[:1]))
        size = sum(values.numel() * values.element_size() for values in first.values())
        yield from rows.split(max(self.shard_bytes // max(size, 1), 1))

    def _typed(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.dtype is None:
            return tensors
        wanted = getattr(torch, self.dtype)
        return {name: values.to(wanted) if values.is_floating_point() else values for name, values in tensors.items()}

    def _image_rows(self) -> Iterator[Sequence[Any]]:
        for bucket, order in enumerate(self.orders):
            for row, (old, sha256) in enumerate(zip(order.tolist(), self.image_hashes[bucket], strict=True)):
                told = self.images[bucket][old]
                yield bucket, row, *told[2:-1], sha256 if told[-1] else ""

    def _prompt_rows(self) -> Iterator[Sequence[Any]]:
        for told, sha256 in zip(self.data.told.prompts(), self.prompt_hashes, strict=True):
            yield *told[:-1], sha256 if told[-1] else ""

    def _pair_rows(self) -> Iterator[Sequence[Any]]:
        places = [torch.empty(len(told), dtype=torch.long) for told in self.images]
        for place, order in zip(places, self.orders, strict=True):
            place[order] = torch.arange(len(order))
        there = [place.tolist() for place in places]
        for number, prompt, bucket_a, image_a, bucket_b, image_b, *labels in self.data.pairs.rows():
            yield number, prompt, bucket_a, there[bucket_a][image_a], bucket_b, there[bucket_b][image_b], *labels
