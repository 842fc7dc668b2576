"""Rows of a finished cache encoded again, and compared with what it holds: prompts, and pictures still there."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.settings import EncoderSettings
from dina_lrm.data.buckets import Bucket
from dina_lrm.data.cache.prompt_layout import row_hashes, unpacked
from dina_lrm.data.cache.tables import IMAGES_FILE, PROMPTS_FILE
from dina_lrm.data.cache.whole import WholeCache
from dina_lrm.data.comparison import image_key
from dina_lrm.data.encoding.adding import check_generator, encoders_of, settings_of
from dina_lrm.data.encoding.encode import encode_pictures, encode_prompts
from dina_lrm.data.encoding.pictures import Place
from dina_lrm.data.encoding.settings import SHARD_BYTES, EncodingSettings
from dina_lrm.data.encoding.tasks import Task, Work
from dina_lrm.data.encoding.writing import made_by
from dina_lrm.typed import require

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

ELSEWHERE: Final = 0.05
"""How far a value may be off, in standard deviations of its row, on another device than the one recorded."""
_AT_ONCE: Final = 256
"""Rows in memory."""


@dataclass(frozen=True)
class Difference:
    """A row that came out otherwise: its shard's prefix and its number, what it encodes, how far off its worst value is
    in standard deviations of the row (infinite for another shape, or where a value is not finite).
    """

    row: str
    name: str
    off: float


@dataclass(frozen=True)
class Again:
    """What was chosen and compared: `pictures` + `gone` + `prompts` rows, of which `unlike` are further off than
    `tolerance`, and `exact` have the bits that were recorded. `device` encoded now, and computed in
    `compute_dtype`; `recorded` are the types that the cache's encoders computed in.
    """

    pictures: int
    gone: int
    prompts: int
    exact: int
    tolerance: float
    device: str
    compute_dtype: str
    recorded: tuple[str, ...]
    unlike: tuple[Difference, ...]

    def __str__(self) -> str:
        """What was compared, in a sentence."""
        return (
            f"encoded again by {self.made_by}: {self.pictures} pictures and {self.prompts} prompts, {self.exact} of "
            f"them to the bit, {len(self.unlike)} more than {self.tolerance:g} standard deviations off; {self.gone} "
            "pictures are no longer where they were"
        )

    @property
    def made_by(self) -> str:
        """What encoded now, and what did then where it computed in another type."""
        then = ", ".join(self.recorded) or "a type that it does not say"
        other = "" if self.recorded == (self.compute_dtype,) else f" (the cache's encoders computed in {then})"
        return f"{self.device} in {self.compute_dtype}{other}"


def encode_again(
    folder: Path | str,
    share: float,
    *,
    seed: int = 0,
    device: str | None = "cpu",
    tolerance: float | None = None,
    encoders: EncoderSettings | None = None,
    compute_dtype: torch.dtype | None = None,
) -> Again:
    """Encode a share in (0, 1] of a cache's prompts and pictures again, chosen by `seed`, at least one of each.

    Pictures are found by the names that the cache has of them; those that are no longer there, that hold something
    else or were never files are counted as gone. It is computed in `compute_dtype`, by default that of the cache.
    `tolerance` is in standard deviations of a row; by default 0, equal to the bit, where the cache records this device
    and type alone, else `ELSEWHERE`. NaN differs from everything. `encoders` says how text encoders are held.

    Raises ValueError for another share, a cache of format 1, and a generator that is no longer the cache's.
    """
    require(0 < share <= 1, "share", share, "above 0, at most 1")
    cache = WholeCache(folder)
    settings = settings_of(cache.header, cache.shown, "skip", SHARD_BYTES)
    backbone = encoders_of(cache.header, device=device, compute_dtype=compute_dtype, encoders=encoders).load()
    check_generator(cache, backbone)
    device_now, dtype_now = made_by(backbone)
    recorded = cache.header.compute_dtypes
    alike = cache.header.devices == (device_now,) and recorded in ((), (dtype_now,))
    allowed = tolerance if tolerance is not None else 0.0 if alike else ELSEWHERE
    draw = random.Random(seed)
    prompts = _chosen(draw, [(n, row) for n, row in enumerate(cache.tables[PROMPTS_FILE]) if row[-1]], share)
    images = _chosen(draw, [row for row in cache.tables[IMAGES_FILE] if row[-1]], share)
    there = [row for row in images if _is_there(row)]
    offs = [*_prompts(cache, backbone, settings, prompts), *_images(cache, backbone, settings, there)]
    exact = sum(found.off == 0 for found in offs)
    unlike = tuple(found for found in offs if not found.off <= allowed)
    counts = (len(there), len(images) - len(there), len(prompts), exact)
    return Again(*counts, allowed, device_now, dtype_now, recorded, unlike)


def _chosen(draw: random.Random, rows: Sequence[Any], share: float) -> list[Any]:
    return [rows[n] for n in sorted(draw.sample(range(len(rows)), min(math.ceil(share * len(rows)), len(rows))))]


def _is_there(row: Sequence[Any]) -> bool:
    _, _, name, key, *_ = row
    return key.startswith("bytes:") and image_key(Path(name)) == key


def _prompts(
    cache: WholeCache, backbone: Backbone, settings: EncodingSettings, chosen: Sequence[Any]
) -> Iterator[Difference]:
    held = cache.place.rows(cache.header.prompts)
    for part in _parts(chosen):
        work = Work(Task("again", None, 0, len(part)), prompts=tuple(row[0] for _, row in part))
        (found,) = encode_prompts(backbone, [work], settings, lambda rows: None)
        stored, now = (
            Conditioning(**held.rows(torch.tensor([n for n, _ in part])), truncated=None),
            unpacked(found.tensors),
        )
        for place, ((n, row), sha256) in enumerate(zip(part, row_hashes(found.tensors), strict=True)):
            same = sha256 == row[-1]
            off = 0.0 if same else max(map(_off, _values(now, place), _values(stored, place)))
            yield Difference(f"{cache.header.prompts_prefix}row {n}", row[0], off)


def _images(
    cache: WholeCache, backbone: Backbone, settings: EncodingSettings, chosen: Sequence[Any]
) -> Iterator[Difference]:
    for bucket in sorted({row[0] for row in chosen}):
        width, height = cache.header.sizes[bucket]
        held = cache.place.rows(cache.shards(bucket))
        for part in _parts([row for row in chosen if row[0] == bucket]):
            pictures = tuple(Place("path", name, key, name) for _, _, name, key, *_ in part)
            work = Work(Task("again", bucket, 0, len(part)), pictures=pictures, size=Bucket(width or 0, height or 0))
            (found,) = encode_pictures(backbone, [work], settings, lambda rows: None)
            stored = held.rows(torch.tensor([row for _, row, *_ in part]))["latents"]
            for row, sha256, one, other in zip(
                part, row_hashes(found.tensors), found.tensors["latents"], stored, strict=True
            ):
                off = 0.0 if sha256 == row[-1] else _off(one, other)
                yield Difference(f"{cache.header.latents_prefix(bucket)}row {row[1]}", row[2], off)


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))


def _values(prompts: Conditioning, row: int) -> list[Tensor]:
    return [values[row] for values in (prompts.prompt_embeds, prompts.pooled_prompt_embeds) if values is not None]


def _off(one: Tensor, other: Tensor) -> float:
    """The largest difference in standard deviations of `other`; infinite where there is no such number."""
    if one.shape != other.shape:
        return math.inf
    off = float((one.double() - other.double()).abs().max() / other.double().std())
    return off if math.isfinite(off) else math.inf
