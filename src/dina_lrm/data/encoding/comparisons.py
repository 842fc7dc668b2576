"""From comparisons to encoded comparisons: every image and every prompt once, streaming, and able to go on.

    comparisons -> sizes -> a bucket for each pair -> pixels -> batches of a bucket -> latents      -> shards
                -> prompts                                   -> batches of prompts  -> conditioning -> shards

Both images of a pair are brought to one bucket, the nearest to their mean shape, so that they can share noise; an
image that is compared in two buckets is encoded for each. Batches depend on the order of the comparisons alone, and a
shard is a whole number of batches: an encoding that was stopped and resumed is bit-identical to one that was not.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dina_lrm.data.buckets import Bucket, buckets_for, common_bucket
from dina_lrm.data.cache import format as layout
from dina_lrm.data.cache.content import Tally
from dina_lrm.data.cache.encoded import EncodedComparisons, conditioning_tensors
from dina_lrm.data.cache.format import BackboneIdentity, BucketShards, CacheHeader, Missing
from dina_lrm.data.cache.pairs import PairTable
from dina_lrm.data.cache.prompt_layout import row_hashes
from dina_lrm.data.cache.rows import RowsTold
from dina_lrm.data.cache.shards import (
    ShardedRows,
    ShardInfo,
    Tensors,
    bad_rows,
    row_count,
    shard_name,
    tensors_hash,
    write_shard,
)
from dina_lrm.data.cache.tables import Tables, write_tables
from dina_lrm.data.comparison import Comparison, EncodedImage, ImageSource, image_name
from dina_lrm.data.encoding.index import EncodingIndex, PicturesChangedError
from dina_lrm.data.encoding.loading import LoadingImages, Task, load_ahead, ready_or_fault
from dina_lrm.data.encoding.shelf import Item, Shelf
from dina_lrm.data.encoding.unfinished import INDEX, begun
from dina_lrm.images import to_pixels
from dina_lrm.runs.files import flush, flush_tree, write_text
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

OnBad = Literal["raise", "skip"]
SHARD_BYTES = 128 * 2**20


@dataclasses.dataclass(frozen=True)
class EncodingSettings:
    """How comparisons are encoded; `resolution` is the side of the square bucket in pixels, `dtype` that of storage."""

    resolution: int
    batch_size: int = 16
    dtype: torch.dtype = torch.float32
    shard_bytes: int = SHARD_BYTES
    on_bad: OnBad = "skip"
    workers: int = min(8, os.cpu_count() or 1)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise DinaError(f"batch_size is {self.batch_size}; it must be at least 1")
        if self.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise DinaError(f"dtype is {self.dtype}; accepted: torch.float32, torch.float16, torch.bfloat16")


def encode_comparisons(
    comparisons: Iterable[Comparison],
    backbone: Backbone,
    out: str | Path | None = None,
    *,
    resolution: int,
    batch_size: int = 16,
    dtype: torch.dtype = torch.float32,
    on_bad: OnBad = "skip",
    shard_bytes: int = SHARD_BYTES,
    total: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    card: Callable[[CacheHeader], str] | None = None,
) -> EncodedComparisons:
    """Encode comparisons into the cache folder `out`, or in memory when it is None.

    An `out` that was stopped on the way goes on where it was when the same comparisons and settings are given again;
    where pictures were drawn anew meanwhile it is begun again, with a warning (`PicturesChangedWarning`).
    Comparisons with an image that cannot be read are left out and listed in `missing`; with `on_bad="raise"` the first
    one is an error. `progress` is called with (comparisons done, `total`); `card` gives the text of the folder's
    README.md, from what the cache holds.

    Raises:
        ValueError: no comparison could be encoded; a bad image with `on_bad="raise"`; other settings or comparisons
            than those that `out` was begun with.
        FileExistsError: `out` exists.
    """
    settings = EncodingSettings(resolution, batch_size, dtype, shard_bytes, on_bad)
    if total is None:
        total = len(comparisons) if isinstance(comparisons, Sized) else 0
    place = None if out is None else Path(out)
    given = _Given(comparisons, place is not None and layout.partial_folder(place).exists())
    try:
        return _encoded(_Encoding(backbone, place, settings, card), given, total, progress)
    except PicturesChangedError as error:
        if place is None or not given.may_begin_again:
            raise
        warnings.warn(f"{error}. It is begun again from the first comparison", PicturesChangedWarning, stacklevel=2)
        shutil.rmtree(layout.partial_folder(place))
        return _encoded(_Encoding(backbone, place, settings, card), given, total, progress)


class PicturesChangedWarning(UserWarning):
    """Pictures were drawn anew while an encoding was stopped: it was begun again."""


def _encoded(
    run: _Encoding, comparisons: Iterable[Comparison], total: int, progress: Callable[[int, int], None] | None
) -> EncodedComparisons:
    try:
        done = 0
        for done in run.encode(comparisons):
            if progress is not None:
                progress(done, max(total, done))
        if done == 0:
            raise DinaError("there are no comparisons to encode")
        return run.finish()
    finally:
        run.close()


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


class _Encoding:
    """One encoding on its way: where its shards go, what it knows, and what waits to be encoded."""

    def __init__(
        self,
        backbone: Backbone,
        out: Path | None,
        settings: EncodingSettings,
        card: Callable[[CacheHeader], str] | None,
    ) -> None:
        self.backbone, self.out, self.settings, self.card = backbone, out, settings, card
        self.buckets = buckets_for(settings.resolution, backbone.pixels_per_latent * backbone.latent_multiple)
        self.made_by = CacheHeader(
            backbone=BackboneIdentity.of(backbone.config),
            dtype=str(settings.dtype).removeprefix("torch."),
            resolution=settings.resolution,
            buckets=(),
            prompts=(),
            latent_scale=backbone.latent_scale,
            latent_shift=backbone.latent_shift,
            encode_batch=settings.batch_size,
        )
        self.held = ExitStack()
        self.folder = None if out is None else begun(out, self.held)
        try:
            self.index = EncodingIndex(None if self.folder is None else self.folder / INDEX, self._fingerprint())
        except BaseException:
            self.held.close()
            raise
        self.pool = ThreadPoolExecutor(settings.workers)
        self.in_memory: dict[str, list[Tensors]] = {}
        self.encoded: dict[str, int] = {}
        self.prompts = self._shelf(layout.PROMPTS_PREFIX, self._encode_prompts)
        self.images = [
            self._shelf(layout.latents_prefix(number), self._encode_pixels) for number in range(len(self.buckets))
        ]

    def encode(self, comparisons: Iterable[Comparison]) -> Iterator[int]:
        """Go through all comparisons; yields how many are done."""
        chunk = min(64, 2 * self.settings.batch_size)
        for task, images in load_ahead(comparisons, ready_or_fault, self.pool, self._is_known, chunk):
            self._encode_one(task, images)
            yield task.number + 1

    def _is_known(self, key: str) -> bool:
        return self.index.size(key) is not None

    def _encode_one(self, task: Task, images: LoadingImages) -> None:
        self.index.check_seen(task.number, task.digest(), task.keys, task.names)
        sizes = [self._size(key, images) for key in task.keys]
        for source, size in zip(task.sources, sizes, strict=True):
            if isinstance(size, str):
                return self._leave_out(task, source, size)
        chosen = common_bucket([size for size in sizes if not isinstance(size, str)], self.buckets)
        for source in task.sources:
            if isinstance(source, EncodedImage) and source.size != (chosen.width, chosen.height):
                given = "x".join(map(str, source.size))
                return self._leave_out(
                    task, source, f"latents of {given} pixels do not fit the bucket {chosen.width}x{chosen.height}"
                )
        bucket = self.buckets.index(chosen)
        image_a, image_b = (self._image_row(bucket, task, side, images) for side in (0, 1))
        prompt = self._prompt_row(task.comparison.prompt)
        return self.index.add_pair(task.number, task.comparison, prompt, bucket, image_a, image_b)

    def _size(self, key: str, images: LoadingImages) -> tuple[int, int] | str:
        size = self.index.size(key)
        if size is None:
            image = images[key].result()
            size = image if isinstance(image, str) else image.size
            self.index.add_size(key, size)
        return size

    def _leave_out(self, task: Task, source: ImageSource, reason: str) -> None:
        if self.settings.on_bad == "raise":
            raise DinaError(f"comparison {task.number}: {reason}")
        self.index.add_missing(task.number, task.comparison.pair_id, image_name(source), reason)

    def _image_row(self, bucket: int, task: Task, side: int, images: LoadingImages) -> int:
        prefix, key, source = layout.latents_prefix(bucket), task.keys[side], task.sources[side]
        row = self.index.row(prefix, key)
        if row is None:
            row = self.index.add_row(prefix, key, image_name(source))
            # Loaded already, unless it was known from another bucket or from before a resumed encoding was stopped.
            image = images[key].result() if key in images else ready_or_fault(source)
            assert not isinstance(image, str)  # an image at fault was left out
            self.images[bucket].add(self.pool.submit(_readied, image, self.buckets[bucket]))
        return row

    def _prompt_row(self, prompt: str) -> int:
        row = self.index.row(layout.PROMPTS_PREFIX, prompt)
        if row is None:
            row = self.index.add_row(layout.PROMPTS_PREFIX, prompt, None)
            self.prompts.add(prompt)
        return row

    def _encode_pixels(self, pixels: Sequence[Future[Readied]]) -> Tensors:
        ready = [image.result() for image in pixels]
        rows = [image.latents for image in ready]
        unknown = [number for number, latents in enumerate(rows) if latents is None]
        if unknown:
            with torch.no_grad():
                found = self.backbone.encode_images(torch.cat([ready[number].pixels for number in unknown])).cpu()
            for number, latents in zip(unknown, found, strict=True):
                rows[number] = latents
        return {"latents": torch.stack([row for row in rows if row is not None]).to(self.settings.dtype)}

    def _encode_checked(
        self, prefix: str, encode: Callable[[Sequence[Item]], Tensors], items: Sequence[Item]
    ) -> Tensors:
        """What `encode` makes of the next items; a row that is not finite is noted, and stored as zeros nobody reads.

        With `on_bad="raise"` it is an error that names the picture or the prompt.
        """
        tensors = dict(encode(items))
        for row in sorted({row for values in tensors.values() for row in bad_rows(values)}):
            number = self.encoded[prefix] + row
            reason = f"the generator's encoder makes of it what {self.made_by.dtype} cannot hold (NaN or infinity)"
            if self.settings.on_bad == "raise":
                raise DinaError(f"{self.index.name_of(prefix, number)}: {reason}")
            self.index.add_bad_row(prefix, number, reason)
            for name, values in tensors.items():
                if values.is_floating_point():
                    tensors[name] = values.index_fill(0, torch.tensor([row]), 0)
        self.encoded[prefix] += len(items)
        return tensors

    def _encode_prompts(self, prompts: Sequence[str]) -> Tensors:
        with torch.no_grad():
            conditioning = self.backbone.encode_prompts(prompts).to("cpu", self.settings.dtype)
        for prompt, cut in zip(prompts, conditioning.truncated or (), strict=False):
            self.index.set_note(layout.PROMPTS_PREFIX, prompt, cut)
        return conditioning_tensors(conditioning)

    def _shelf(self, prefix: str, encode: Callable[[Sequence[Item]], Tensors]) -> Shelf[Item]:
        settings = self.settings
        self.encoded[prefix] = sum(shard.rows for shard in self.index.shards(prefix))
        checked = partial(self._encode_checked, prefix, encode)
        return Shelf(checked, partial(self._store, prefix), settings.batch_size, settings.shard_bytes)

    def _store(self, prefix: str, tensors: Tensors) -> None:
        name = shard_name(prefix, len(self.index.shards(prefix)))
        self.index.set_hashes(prefix, row_hashes(tensors))
        if self.folder is None:
            self.in_memory.setdefault(prefix, []).append(tensors)
            shard = ShardInfo(name, row_count(tensors), tensors_hash(tensors))
        else:
            shard = write_shard(self.folder, name, tensors)
        self.index.commit_shard(prefix, shard)

    def _fingerprint(self) -> dict[str, object]:
        settings = self.settings
        return {
            "batch_size": settings.batch_size,
            "shard_bytes": settings.shard_bytes,
            "backbone": self.made_by.backbone.encodes_as,
            "pictures": "by content",
            "dtype": self.made_by.dtype,
            "resolution": settings.resolution,
        }

    def finish(self) -> EncodedComparisons:
        """Write what is left and give the cache its name."""
        for shelf in self.images:
            shelf.finish()
        self.prompts.finish()
        self.index.leave_out_bad_rows()
        prompts = tuple(self.index.shards(layout.PROMPTS_PREFIX))
        if not prompts or next(self.index.pair_rows(), None) is None:
            _, _, image, reason = next(self.index.missing_rows())
            raise DinaError(f"not one comparison could be encoded; the first: {image}: {reason}")
        buckets = tuple(
            BucketShards(bucket.width, bucket.height, tuple(self.index.shards(layout.latents_prefix(number))))
            for number, bucket in enumerate(self.buckets)
        )
        header = dataclasses.replace(
            self.made_by, buckets=buckets, prompts=prompts, missing_images=self.index.bad_images()
        )
        if self.out is None or self.folder is None:
            return self._in_memory(header)
        header = write_tables(self.folder, header, self._tables())
        if self.card is not None:
            write_text(self.folder / layout.CARD, self.card(header))
        self.index.close()
        flush_tree(self.folder)
        os.replace(self.folder, self.out)
        flush(self.out.parent)
        (self.out / INDEX).unlink()  # last: where it is still there, the folder is taken up as one that is not done
        return EncodedComparisons.load(self.out)

    def _tables(self) -> Tables:
        index = self.index
        return Tables(index.pair_rows(), index.prompt_rows(), index.missing_rows(), index.image_rows())

    def _in_memory(self, header: CacheHeader) -> EncodedComparisons:
        tally, found = Tally(header), self._tables()
        images = [tally.image(row) for row in found.images]
        prompts = [tally.prompt(row) for row in found.prompts]
        pairs = PairTable.of_rows(map(tally.pair, found.pairs))
        missing = [Missing(*tally.missing(row)) for row in found.missing]
        *latents, conditioning = (
            ShardedRows(shards, [row_count(shard) for shard in shards])
            for shards in (
                self.in_memory.get(prefix, [])
                for prefix in (*map(layout.latents_prefix, range(len(self.buckets))), layout.PROMPTS_PREFIX)
            )
        )
        texts, truncated, *_ = zip(*prompts, strict=True)
        told = RowsTold(lambda: images, lambda: prompts)
        return EncodedComparisons(latents, conditioning, texts, truncated, pairs, missing, tally.header(header), told)

    def close(self) -> None:
        """Stop loading and let go of the index and the folder."""
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.index.close()
        self.held.close()


class Readied(NamedTuple):
    """An image of a bucket: its pixels, or its latents where those are what is known."""

    pixels: Tensor
    latents: Tensor | None = None


def _readied(image: Image.Image | EncodedImage, bucket: Bucket) -> Readied:
    if isinstance(image, EncodedImage):
        return Readied(torch.empty(0), torch.from_numpy(np.array(image.latents)))
    return Readied(to_pixels([image], bucket))
