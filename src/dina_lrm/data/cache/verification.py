"""Whether a cache is what was written, and whether a model could learn from it.

| level | what is looked at |
|---|---|
| quick | the tables: hashes, counts, content; the head of every shard; files that are none of the cache's |
| full | every shard, to the bit; rows that are not finite, or have no spread |
| deep | also the spread of all latents of a bucket, and rows of which half is zeros |
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import torch
from torch import Tensor

from dina_lrm.data.cache import format as layout
from dina_lrm.data.cache import tables
from dina_lrm.data.cache.content import FirstTally, Tally
from dina_lrm.data.cache.format import CacheHeader
from dina_lrm.data.cache.pairs import PairTable
from dina_lrm.data.cache.place import place_of
from dina_lrm.data.cache.remote.copies import LocalCopies
from dina_lrm.data.cache.shards import AnyShard, ShardInfo, Tensors, bad_rows
from dina_lrm.typed import require

Level = Literal["quick", "full", "deep"]
LEVELS: Final = get_args(Level)
_SANE: Final = (1e-4, 1e4)
"""Standard deviations that the latents of a picture may have: of any VAE they are near 1, of zeros 0."""
_USUAL: Final = (0.3, 3.0)
"""Standard deviations of all latents of a bucket: a VAE's scale brings them near 1."""


@dataclass(frozen=True)
class CacheProblem:
    """A file of a cache, what is wrong with it, and the option of `prepare` that mends it, where there is one."""

    file: str
    reason: str
    mend: str | None = None


@dataclass(frozen=True)
class CacheVerdict:
    """What was read, and all that is wrong."""

    shards: int
    rows: int
    bytes: int
    problems: tuple[CacheProblem, ...]


def verify_cache(
    folder: Path | str,
    progress: Callable[[int, int], None] | None = None,
    level: Level = "full",
    copies: LocalCopies | None = None,
) -> CacheVerdict:
    """Compare the files of a cache with what `cache.json` recorded, as closely as `level` says.

    Found are bytes that changed, files that are gone or that prepare did not write, values that are not finite, latents
    without a spread, and comparisons that point nowhere. `progress` is called with (shards done, shards). Of a cache at
    an address (`place_of`) every shard is fetched again, quick looks at the tables alone, and what else lies there is
    not seen.

    Raises FileNotFoundError where there is no complete cache, ValueError for another level.
    """
    require(level in LEVELS, "level", level, ", ".join(LEVELS))
    place = place_of(folder, copies)
    folder = place.folder
    try:
        header = layout.read_header(folder)
    except ValueError as error:
        return CacheVerdict(0, 0, 0, (_problem(folder, layout.HEADER, error),))
    problems = [*_foreign(folder, header)] if place.fetched is None else []
    columns = {}
    for name in layout.TABLES:
        try:
            columns[name] = tables.read_columns(folder, name, header)
        except (ValueError, FileNotFoundError) as error:
            problems.append(_problem(folder, name, error))
    if len(columns) == len(layout.TABLES):
        problems += _table_problems(header, columns)
    pairs = PairTable.of_columns(columns[tables.PAIRS_FILE]) if tables.PAIRS_FILE in columns else None
    rows = size = 0
    # Of a shard at an address not even the head can be read before it was fetched whole
    here = level != "quick" or place.fetched is None
    shards, spreads = list(_shards(header)) if here else [], dict[int, _Spread]()
    for done, (bucket, start, info) in enumerate(shards, start=1):
        try:
            shard = place.fresh_shard(info)
            if level == "quick":
                shard.layout()
            else:
                read = None if bucket is None else _read_rows(pairs, bucket, start)
                tensors = shard.read()
                problems += _tensor_problems(shard, tensors, read)
                if level == "deep":
                    problems += _half_problems(shard, tensors, read)
                    if bucket is not None:
                        spreads.setdefault(bucket, _Spread()).add(tensors["latents"])
            rows, size = rows + info.rows, size + shard.size()
        except (ValueError, OSError) as error:
            mend = f"--only {info.name}" if header.encode_batch is not None and header.format_version > 1 else None
            problems.append(dataclasses.replace(_problem(folder, f"{info.name}.safetensors", error), mend=mend))
        if progress is not None:
            progress(done, len(shards))
    problems += [found for bucket, spread in spreads.items() for found in spread.problems(header, bucket)]
    return CacheVerdict(len(shards), rows, size, tuple(problems))


class _Spread:
    """The standard deviation of all latents of a bucket, gathered shard by shard."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, 0.0, 0.0

    def add(self, latents: Tensor) -> None:
        """Count the latents of a shard."""
        values = latents.double()
        self._count += values.numel()
        self._sum += float(values.sum())
        self._squares += float(values.square().sum())

    def problems(self, header: CacheHeader, bucket: int) -> Iterator[CacheProblem]:
        """What is unusual about it; NaN is."""
        mean = self._sum / self._count
        spread = math.sqrt(max(self._squares / self._count - mean**2, 0.0)) if self._count else math.nan
        if not _USUAL[0] <= spread <= _USUAL[1]:
            yield CacheProblem(
                header.latents_prefix(bucket),
                f"the latents have a standard deviation of {spread:g} in all; those of a VAE that is scaled as its "
                f"generator expects have {_USUAL[0]:g} to {_USUAL[1]:g}",
            )


def _shards(header: CacheHeader) -> Iterator[tuple[int | None, int, ShardInfo]]:
    """Each shard with its bucket (None for prompts) and the number of its first row."""
    tables: list[tuple[int | None, tuple[ShardInfo, ...]]] = [*enumerate(b.shards for b in header.buckets)]
    for bucket, shards in [*tables, (None, header.prompts)]:
        start = 0
        for shard in shards:
            yield bucket, start, shard
            start += shard.rows


def _problem(folder: Path, name: str, error: Exception) -> CacheProblem:
    return CacheProblem(name, str(error).removeprefix(f"{folder / name}: "))


def _foreign(folder: Path, header: CacheHeader) -> Iterator[CacheProblem]:
    known = {layout.CARD, *layout.cache_files(header)}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in known and not (path.is_dir() and not path.is_symlink() and _is_of(path, folder, known)):
            yield CacheProblem(name, f"is no file of the cache: {layout.HEADER} does not name it")


def _is_of(place: Path, folder: Path, known: set[str]) -> bool:
    """Whether a folder is one that the cache's files lie in, or lies in no other, whose files are told one by one."""
    within = place.relative_to(folder).as_posix() + "/"
    return any(name.startswith(within) for name in known) or any(place.iterdir())


def _table_problems(header: CacheHeader, columns: dict[str, dict[str, tables.Column]]) -> Iterator[CacheProblem]:
    pairs = PairTable.of_columns(columns[tables.PAIRS_FILE])
    images = [sum(shard.rows for shard in bucket.shards) for bucket in header.buckets]
    try:
        pairs.check(images, sum(shard.rows for shard in header.prompts))
    except ValueError as error:
        yield CacheProblem(tables.PAIRS_FILE, str(error))
        return
    listed = len(columns[tables.IMAGES_FILE]["name"])
    if (listed or header.format_version > 1) and listed != sum(images):
        yield CacheProblem(tables.IMAGES_FILE, f"names {listed} images of {sum(images)}")
        return
    found = _counted(header, columns, pairs)
    for name, given in found.items():
        recorded = getattr(header, name)
        if given != recorded:
            yield CacheProblem(layout.HEADER, f"{name} is {recorded!r}, the tables hold {given!r}")


def _counted(header: CacheHeader, columns: dict[str, dict[str, tables.Column]], pairs: PairTable) -> dict[str, object]:
    """The counts and the hashes of the content that the tables give."""
    images, prompts, missing = (
        zip(*columns[name].values(), strict=True)
        for name in (tables.IMAGES_FILE, tables.PROMPTS_FILE, tables.MISSING_FILE)
    )
    names = ("pairs", "ties", "truncated_prompts", "missing_pairs", "content")
    if header.format_version == 1:
        first = FirstTally(header.shards)
        first.count(pairs.common_rows(), prompts, missing)
        return {name: getattr(first, name) for name in names}
    tally = Tally(header)
    for count, rows in ((tally.image, images), (tally.prompt, prompts), (tally.pair, pairs.rows())):
        for row in rows:
            count(row)
    for row in missing:
        tally.missing(row)
    found = tally.header(header)
    more = ("order",) if header.fit is None else ("order", "fit")  # earlier versions recorded no fit
    return {name: getattr(found, name) for name in (*names, *more)}


def _read_rows(pairs: PairTable | None, bucket: int, start: int) -> set[int]:
    """Rows, from that of the shard's first on, that a comparison points at."""
    if pairs is None:
        return set()
    a, b = pairs.image_a[pairs.bucket_a == bucket], pairs.image_b[pairs.bucket_b == bucket]
    return {row - start for row in torch.cat([a, b]).tolist()}


def _tensor_problems(shard: AnyShard, tensors: Tensors, read: set[int] | None) -> Iterator[CacheProblem]:
    """What cannot be learnt from; `read` are the rows of images that are used, None for prompts."""
    file = f"{shard.info.name}.safetensors"
    for name, values in tensors.items():
        for row in bad_rows(values):
            yield CacheProblem(file, f"row {row} of {name} holds NaN or infinity")
    if read is None:
        return
    spread = tensors["latents"].float().flatten(1).std(dim=1)
    for row, value in enumerate(spread.tolist()):
        if row in read and not _SANE[0] <= value <= _SANE[1]:
            yield CacheProblem(
                f"{shard.info.name}.safetensors", f"row {row} of latents has a standard deviation of {value:g}"
            )


def _half_problems(shard: AnyShard, tensors: Tensors, read: set[int] | None) -> Iterator[CacheProblem]:
    """Rows of which the first or the last half is zeros, as a write that was cut off leaves them."""
    if read is None:
        return
    values = tensors["latents"].flatten(1)
    for number, half in enumerate(values.chunk(2, dim=1)):
        for row in (half == 0).all(dim=1).nonzero().flatten().tolist():
            if row in read:
                which = ("first", "last")[number]
                yield CacheProblem(f"{shard.info.name}.safetensors", f"row {row} of latents: the {which} half is zeros")
