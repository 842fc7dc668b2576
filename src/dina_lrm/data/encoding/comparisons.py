"""From comparisons to encoded comparisons: every image and every prompt once, planned first, and able to go on.

    comparisons -> keys, sizes, texts -> a bucket and a row for each picture, a row for each prompt     (planning.py)
                -> shards: rows of prompts, rows of a bucket                                             (plan.py)
    shard -> pixels or texts -> batches at fixed places -> latents or conditioning -> a file             (encode.py)

A shard holds the same bytes whoever makes it, and whenever: an encoding that was stopped and goes on, or that several
processes share, gives the cache that one process gives which nobody stopped.
"""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Set, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dina_lrm.data.buckets import Bucket, Sizes
from dina_lrm.data.cache import format as layout
from dina_lrm.data.cache.content import Tally
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.format import BackboneIdentity, CacheHeader, Missing
from dina_lrm.data.cache.pairs import PairTable
from dina_lrm.data.cache.prompt_layout import row_hashes
from dina_lrm.data.cache.rows import RowsTold
from dina_lrm.data.cache.shards import ShardedRows, ShardInfo, Tensors, tensors_hash
from dina_lrm.data.cache.tables import Tables, write_tables
from dina_lrm.data.cache.whole import WholeCache
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.encoding.encode import encode_pictures, encode_prompts
from dina_lrm.data.encoding.finishing import finished
from dina_lrm.data.encoding.joined import joined, place_shards
from dina_lrm.data.encoding.journal import Head, Journal, heads, noted_shards
from dina_lrm.data.encoding.pictures import PictureChangedError
from dina_lrm.data.encoding.plan import Plan, PlanReader
from dina_lrm.data.encoding.planning import plan_comparisons
from dina_lrm.data.encoding.room import check_room, row_bytes
from dina_lrm.data.encoding.settings import SHARD_BYTES, EncodingSettings, OnBad, PairBuckets, dtype_name
from dina_lrm.data.encoding.tasks import Encoded
from dina_lrm.data.encoding.unfinished import begun, cleared, given_its_name
from dina_lrm.data.encoding.writing import Writing, check_faults, made_by, write_shards
from dina_lrm.runs.files import write_text
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

Writers = Callable[["Backbone", Writing, Callable[[int], None]], None]
"""How the shards of a folder are made: by this process (`write_shards`), or by several."""


def encode_comparisons(
    comparisons: Iterable[Comparison],
    backbone: Backbone,
    out: str | Path | None = None,
    *,
    resolution: int | Sizes,
    batch_size: int = 16,
    dtype: torch.dtype = torch.float32,
    on_bad: OnBad = "skip",
    pair_buckets: PairBuckets = "own",
    shard_bytes: int = SHARD_BYTES,
    total: int | None = None,
    reading: ReportProgress | None = None,
    progress: ReportProgress | None = None,
    writers: Writers = write_shards,
) -> EncodedComparisons:
    """Encode comparisons into the cache folder `out`, or in memory when it is None.

    `resolution` is the side in pixels of the square whose area all sizes have, or says them otherwise (`Sizes`).
    An `out` that was stopped on the way goes on where it was when the same comparisons and settings are given again;
    where pictures were drawn anew meanwhile it is begun again, with a warning (`PicturesChangedWarning`).
    Comparisons with an image that cannot be read are left out and listed in `missing`; with `on_bad="raise"` the first
    one is an error. `reading` is called with (comparisons planned, `total`), then `progress` with (images and prompts
    encoded, all of them). `writers` make the shards of a folder: several processes do, where one is not enough
    (`processes.Several`). The other options are those of `EncodingSettings`.

    Raises:
        ValueError: no comparison could be encoded; a bad image with `on_bad="raise"`; other settings or comparisons
            than those that `out` was begun with; not enough room for what is planned.
        FileExistsError: `out` exists.
    """
    settings = EncodingSettings(Sizes.of(resolution), batch_size, dtype, shard_bytes, on_bad, pair_buckets)
    return encode_by(
        settings, comparisons, backbone, out, total=total, reading=reading, progress=progress, writers=writers
    )


def encode_by(
    settings: EncodingSettings,
    comparisons: Iterable[Comparison],
    backbone: Backbone,
    out: str | Path | None = None,
    *,
    total: int | None = None,
    reading: ReportProgress | None = None,
    progress: ReportProgress | None = None,
    card: Callable[[CacheHeader], str] | None = None,
    writers: Writers = write_shards,
    behind: WholeCache | None = None,
    planned: Callable[[PlanReader], None] | None = None,
) -> EncodedComparisons:
    """`encode_comparisons`, by `settings`.

    `card` gives the text of the folder's README.md, from what the cache holds. With `behind` the folder `out` holds
    that cache and, behind it, what the comparisons add to it, with the settings that it was made with. `planned` is
    called with the plan when it is complete.
    """
    if total is None:
        total = len(comparisons) if isinstance(comparisons, Sized) else 0
    place = None if out is None else Path(out)
    given = _Given(comparisons, place is not None and layout.partial_folder(place).exists())
    job = _Job(backbone, place, settings, total, reading, progress, card, writers, behind, planned)
    try:
        return job.run(given)
    except sqlite3.OperationalError as error:
        where = "the encoding in memory" if place is None else str(layout.partial_folder(place))
        raise DinaError(
            f"{where}: cannot be written ({error}); is the disk full? Make room, and give the same again to go on"
        ) from error
    except PictureChangedError as error:
        if place is None or not given.may_begin_again:
            raise
        warnings.warn(f"{error}. It is begun again from the first comparison", PicturesChangedWarning, stacklevel=2)
        shutil.rmtree(layout.partial_folder(place))
        return job.run(given)


def encoded_buckets(backbone: Backbone, sizes: Sizes) -> tuple[Bucket, ...]:
    """The sizes that a generator's pictures are brought to. ValueError for one that it cannot take."""
    return sizes.buckets(backbone.pixels_per_latent * backbone.latent_multiple)


class PicturesChangedWarning(UserWarning):
    """Pictures were drawn anew while an encoding was stopped: it was begun again."""


class _Given:
    """Comparisons that can be gone through a second time where pictures turn out to be others.

    A stream is remembered as far as it was read, as long as its pictures are paths: those in memory could be many.
    """

    def __init__(self, comparisons: Iterable[Comparison], goes_on: bool) -> None:
        self._all, self._stream = comparisons, iter(comparisons)
        self._is_stream = self._stream is comparisons
        self._read: list[Comparison] = []
        self.may_begin_again = goes_on

    def __iter__(self) -> Iterator[Comparison]:
        if not self._is_stream:
            yield from self._all
            return
        yield from list(self._read)
        for comparison in self._stream:
            self.may_begin_again &= all(isinstance(i, str | Path) for i in (comparison.image_a, comparison.image_b))
            if self.may_begin_again:
                self._read.append(comparison)
            else:
                self._read.clear()
            yield comparison


@dataclasses.dataclass(frozen=True)
class _Job:
    """An encoding: from comparisons to a plan, from the plan to shards, from shards to a cache."""

    backbone: Backbone
    out: Path | None
    settings: EncodingSettings
    total: int
    reading: ReportProgress | None
    progress: ReportProgress | None
    card: Callable[[CacheHeader], str] | None
    writers: Writers
    behind: WholeCache | None = None
    planned: Callable[[PlanReader], None] | None = None

    def run(self, comparisons: Iterable[Comparison]) -> EncodedComparisons:
        """Do all of it."""
        with ExitStack() as held:
            folder = None if self.out is None else begun(self.out, held)
            plan = held.enter_context(closing(Plan(folder, self._fingerprint())))
            self._planned(plan, comparisons)
            if folder is None or self.out is None:
                return self._in_memory(plan)
            self._written(plan, folder)
            self._finish(plan, folder)
            plan.close()
            given_its_name(folder, self.out)
        return EncodedComparisons.load(self.out)

    def _planned(self, plan: Plan, comparisons: Iterable[Comparison]) -> None:
        """Go through all comparisons, and cut their rows into shards."""
        report = self.reading or _silent
        if self.behind is not None:
            plan.begin_behind(self.behind)
        with ThreadPoolExecutor(self.settings.workers) as pool:
            count = plan_comparisons(
                plan, comparisons, self._buckets, self.settings, pool, lambda done: report(done, max(self.total, done))
            )
        if count == 0:
            raise DinaError("there are no comparisons to encode")
        plan.close_planning(count, self._shard_of)
        if self.planned is not None:
            self.planned(plan)
        pairs, _ = plan.counts
        if not pairs and not plan.known.pairs:
            _, _, image, reason = next(plan.missing_rows())
            raise DinaError(f"not one comparison could be encoded; the first: {image}: {reason}")

    def _written(self, plan: Plan, folder: Path) -> None:
        """Make all shards that are not there yet."""
        tasks = plan.tasks()
        cleared(folder)
        journal = Journal(folder, made_by(self.backbone))
        journal.adopt(tasks)
        done = noted_shards(folder)
        left = [task for task in tasks if task.name not in done]
        check_room(folder, left, self._bytes_of)
        report = _Counted(self.progress, sum(task.rows for task in tasks), sum(task.rows for task in left))
        self.writers(self.backbone, Writing(folder, self.settings, self._buckets), report)
        journal.adopt(tasks)  # of a writer that was killed between a shard and its line

    def _finish(self, plan: Plan, folder: Path) -> None:
        """Write the tables, the header and the card."""
        lines = noted_shards(folder).values()
        header = self._header({(line.device, line.compute_dtype) for line in lines})
        told = finished(plan, lambda tasks: heads(folder, tasks), header, self._buckets)
        if self.behind is not None:
            place_shards(self.behind, folder)
            told = joined(self.behind, told)
        written = write_tables(folder, told.header, told.tables)
        if self.card is not None:
            write_text(folder / layout.CARD, self.card(written))

    def _in_memory(self, plan: Plan) -> EncodedComparisons:
        tasks = plan.tasks()
        rows = sum(task.rows for task in tasks)
        report, done = _Counted(self.progress, rows, rows), dict[str, tuple[Head, Tensors]]()
        prompts, pictures = (
            [plan.work(task, self._buckets) for task in tasks if (task.bucket is None) == is_prompts]
            for is_prompts in (True, False)
        )
        for found in (
            encode_prompts(self.backbone, prompts, self.settings, report),
            encode_pictures(self.backbone, pictures, self.settings, report),
        ):
            for encoded in found:
                check_faults(plan, encoded, self.settings)
                done[encoded.task.name] = _head_of(encoded), encoded.tensors
        told = finished(
            plan,
            lambda some: [(task, done[task.name][0]) for task in some],
            self._header({made_by(self.backbone)}),
            self._buckets,
        )
        return self._held(told.header, told.tables, {name: tensors for name, (_, tensors) in done.items()})

    @property
    def _buckets(self) -> tuple[Bucket, ...]:
        return encoded_buckets(self.backbone, self.settings.sizes)

    def _header(self, writers: Set[tuple[str, str]]) -> CacheHeader:
        """What made it, by the devices and types of all who did; counts, shards and hashes are to come."""
        backbone, settings = self.backbone, self.settings
        return CacheHeader(
            backbone=BackboneIdentity.of(backbone.config),
            dtype=settings.dtype_name,
            resolution=settings.sizes.resolution,
            resolutions=settings.sizes.several,
            buckets=(),
            prompts=(),
            latent_scale=backbone.latent_scale,
            latent_shift=backbone.latent_shift,
            encode_batch=settings.batch_size,
            pair_buckets=settings.pair_buckets,
            devices=tuple(sorted({device for device, _ in writers})),
            compute_dtypes=tuple(sorted({dtype for _, dtype in writers})),
        )

    def _fingerprint(self) -> dict[str, object]:
        settings = self.settings
        added_to = (
            {} if self.behind is None else {"added to": f"{self.behind.header.content} {self.behind.header.order}"}
        )
        listed = {"buckets": list(map(str, self._buckets))} if settings.sizes.resolution is None else {}
        return (
            added_to
            | listed
            | {
                "batch_size": settings.batch_size,
                "shard_bytes": settings.shard_bytes,
                "backbone": BackboneIdentity.of(self.backbone.config).encodes_as,
                "dtype": settings.dtype_name,
                "compute_dtype": dtype_name(self.backbone.dtype),
                "resolution": settings.sizes.resolution,
                "pair_buckets": settings.pair_buckets,
            }
        )

    def _bytes_of(self, bucket: int | None) -> int:
        return row_bytes(self.backbone, self.settings, None if bucket is None else self._buckets[bucket])

    def _shard_of(self, bucket: int | None) -> tuple[str, int]:
        """What the names of the shards of a bucket (None: of the prompts) begin with, and how many rows one has."""
        prefix = layout.PROMPTS_PREFIX if bucket is None else layout.latents_prefix(bucket)
        return prefix, self.settings.rows_of_a_shard(self._bytes_of(bucket))

    def _held(self, header: CacheHeader, tables: Tables, shards: Mapping[str, Tensors]) -> EncodedComparisons:
        """The set in memory."""
        tally = Tally(header)
        images = [tally.image(row) for row in tables.images]
        prompts = [tally.prompt(row) for row in tables.prompts]
        pairs = PairTable.of_rows(map(tally.pair, tables.pairs))
        missing = [Missing(*tally.missing(row)) for row in tables.missing]
        *latents, conditioning = (
            ShardedRows([shards[info.name] for info in infos], [info.rows for info in infos])
            for infos in (*(bucket.shards for bucket in header.buckets), header.prompts)
        )
        texts, truncated, *_ = zip(*prompts, strict=True)
        told = RowsTold(lambda: images, lambda: prompts)
        return EncodedComparisons(latents, conditioning, texts, truncated, pairs, missing, tally.header(header), told)


class _Counted:
    """Adds up rows that were encoded, and reports them."""

    def __init__(self, progress: ReportProgress | None, total: int, left: int) -> None:
        self._report, self._total, self._done = progress or _silent, total, total - left

    def __call__(self, rows: int) -> None:
        self._done += rows
        self._report(min(self._done, self._total), self._total)


def _head_of(encoded: Encoded) -> Head:
    info = ShardInfo(encoded.task.name, encoded.task.rows, tensors_hash(encoded.tensors))
    return Head(info, encoded.notes, tuple(row_hashes(encoded.tensors)))


def _silent(done: int, total: int) -> None:
    """Nobody watches."""
