"""From work to tensors: the encoders of a generator, batch by batch.

Every batch is full: the last one of a shard is filled up with blank pictures, or with its last prompt again. The last
bit of a row depends on how many rows are encoded with it, and not on what they hold or where it stands; so a row is
the same whatever else a cache holds, and whichever part of it was encoded first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.buckets import Bucket
from dina_lrm.data.cache.prompt_layout import PromptLayout, conditioning_tensors, packed
from dina_lrm.data.cache.shards import bad_rows
from dina_lrm.data.encoding.pictures import Place, picture_of
from dina_lrm.data.encoding.settings import EncodingSettings
from dina_lrm.data.encoding.tasks import Encoded, Notes, Work
from dina_lrm.images import to_pixels

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


_AHEAD: Final = 2
"""Batches that are read while one is encoded."""


class _Read(NamedTuple):
    """A picture of a bucket: its pixels, or its latents, or why it is neither."""

    pixels: Tensor | None = None
    latents: Tensor | None = None
    fault: str | None = None


def encode_pictures(
    backbone: Backbone, works: Iterable[Work], settings: EncodingSettings, report: Callable[[int], None]
) -> Iterator[Encoded]:
    """The latents of each shard; the next pictures are read while some are encoded, also those of the next shard.

    `report` is told how many rows were encoded, batch by batch.
    """
    with ThreadPoolExecutor(settings.workers) as pool:
        rows: list[Tensor] = []
        faults: dict[int, str] = {}
        for work, start, batch in _read_ahead(works, pool, settings.batch_size):
            read = [each.result() for each in batch]
            rows.append(_encode_batch(backbone, read, work, start, faults, settings))
            report(len(read))
            if start + len(read) == work.task.rows:
                yield Encoded(work.task, {"latents": torch.cat(rows)}, Notes(faults))
                rows, faults = [], {}


def _read_ahead(works: Iterable[Work], pool: Executor, size: int) -> Iterator[tuple[Work, int, list[Future[_Read]]]]:
    """Each batch, with its work and the place of its first row; two more are being read meanwhile."""
    ahead: deque[tuple[Work, int, list[Future[_Read]]]] = deque()
    for work in works:
        for start in range(0, work.task.rows, size):
            pictures = work.pictures[start : start + size]
            ahead.append((work, start, [pool.submit(_read, place, work) for place in pictures]))
            if len(ahead) > _AHEAD:
                yield ahead.popleft()
    yield from ahead


def _read(place: Place, work: Work) -> _Read:
    found = picture_of(place, work.aside)
    if isinstance(found, str):
        return _Read(fault=found)
    if isinstance(found, Tensor):
        return _Read(latents=found)
    assert work.size is not None
    try:
        return _Read(pixels=to_pixels([found], work.size))
    except ValueError as error:  # a shape so long that it cannot be scaled
        return _Read(fault=f"{place.name}: {error}")


def _encode_batch(
    backbone: Backbone,
    read: Sequence[_Read],
    work: Work,
    start: int,
    faults: dict[int, str],
    settings: EncodingSettings,
) -> Tensor:
    """The latents of a batch in the type that is stored; a row without a picture, or that is not finite, is zeros."""
    assert work.size is not None
    shape = _shape_of(backbone, work)
    rows = torch.zeros(len(read), *shape)
    seen = [place for place, each in enumerate(read) if each.latents is None]
    if any(each.pixels is not None for each in read):
        blank = torch.zeros(1, 3, work.size.height, work.size.width)  # a bad picture changes nothing for the others
        with torch.no_grad():
            given = [blank if (pixels := read[place].pixels) is None else pixels for place in seen]
            found = backbone.encode_images(torch.cat([*given, *[blank] * (settings.batch_size - len(given))]))
        rows[seen] = found[: len(seen)].float().cpu()
    unfit = {}
    for place, each in enumerate(read):
        if each.latents is not None and tuple(each.latents.shape) == shape:
            rows[place] = each.latents
        elif each.latents is not None:
            unfit[place] = f"latents of shape {tuple(each.latents.shape)} among those of {shape}"
    stored = rows.to(settings.dtype)
    unusable = unfit | {place: unusable_reason(settings) for place in bad_rows(stored)}
    unusable |= {place: each.fault for place, each in enumerate(read) if each.fault is not None}
    for place, reason in unusable.items():
        stored[place] = 0
        faults[start + place] = reason
    return stored


def _shape_of(backbone: Backbone, work: Work) -> tuple[int, ...]:
    """The shape of the latents of a shard: the generator's, or that which they have where all are given as latents."""
    assert work.size is not None
    given = {place.shape for place in work.pictures}
    return given.pop() if len(given) == 1 and () not in given else latents_shape(backbone, work.size)


def encode_prompts(
    backbone: Backbone, works: Sequence[Work], settings: EncodingSettings, report: Callable[[int], None]
) -> Iterator[Encoded]:
    """The conditioning of each shard of a block: every text encoder reads all of them before the next one does.

    `report` is told how many rows were encoded.
    """
    size = settings.batch_size
    batches = [work.prompts[start : start + size] for work in works for start in range(0, work.task.rows, size)]
    encoded = zip(batches, backbone.encode_prompt_batches([_filled(batch, size) for batch in batches]), strict=True)
    for work in works:
        parts = []
        for batch, found in islice(encoded, -(-work.task.rows // size)):
            parts.append(found[: len(batch)].to("cpu", settings.dtype))
            report(len(batch))
        yield _prompt_shard(backbone, work, Conditioning.cat(parts), settings)


def _filled(prompts: tuple[str, ...], size: int) -> tuple[str, ...]:
    return prompts + prompts[-1:] * (size - len(prompts))


def _prompt_shard(backbone: Backbone, work: Work, found: Conditioning, settings: EncodingSettings) -> Encoded:
    tensors = conditioning_tensors(found)
    bad = sorted(set(chain.from_iterable(bad_rows(values) for values in tensors.values())))
    if bad:
        zeros = {
            name: values.index_fill(0, torch.tensor(bad), 0) if values.is_floating_point() else values
            for name, values in tensors.items()
        }
        found = Conditioning(**zeros, truncated=found.truncated)
    cut = {row: told for row, told in enumerate(found.truncated or ()) if told is not None}
    mask = found.prompt_mask
    tokens = [-1] * len(found) if mask is None else mask.sum(dim=1).tolist()
    config = backbone.config
    layout = PromptLayout.of(config.family, config.prompt_length, backbone.prompt_shape, config.prompt_padding)
    return Encoded(
        work.task, packed(found, layout), Notes({row: unusable_reason(settings) for row in bad}, cut, tokens)
    )


def unusable_reason(settings: EncodingSettings) -> str:
    """Why a row that holds NaN or infinity is left out."""
    return f"the generator's encoder makes of it what {settings.dtype_name} cannot hold (NaN or infinity)"


def latents_shape(backbone: Backbone, size: Bucket) -> tuple[int, int, int]:
    """Channels, height and width of the latents of a picture."""
    side = backbone.pixels_per_latent
    return backbone.latent_channels, size.height // side, size.width // side
