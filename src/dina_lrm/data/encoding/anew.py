"""One shard of a finished cache made anew, where its file was damaged or lost: the same bytes, or an error."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dina_lrm.data.buckets import Bucket
from dina_lrm.data.cache.format import CacheHeader, read_header
from dina_lrm.data.cache.shards import ShardInfo, tensors_hash, write_shard
from dina_lrm.data.cache.tables import IMAGES_FILE, PROMPTS_FILE, read_columns
from dina_lrm.data.comparison import Comparison, image_key
from dina_lrm.data.encoding.encode import encode_pictures, encode_prompts
from dina_lrm.data.encoding.journal import head_of
from dina_lrm.data.encoding.pictures import Place, looked_at, place_of
from dina_lrm.data.encoding.settings import EncodingSettings
from dina_lrm.data.encoding.tasks import Encoded, Task, Work
from dina_lrm.data.encoding.writing import made_by
from dina_lrm.runs.lock import one_writer
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


def encode_anew(folder: Path, shard: str, comparisons: Iterable[Comparison], backbone: Backbone) -> ShardInfo:
    """Write the file of one shard again, such as "latents/01/00003", from the comparisons that the cache is of.

    Raises:
        ValueError: no such shard; another backbone than the cache's; a picture of it is not among the comparisons; or
            what comes of it is not what the cache recorded, and then nothing is written.
    """
    header = read_header(folder)
    header.check_backbone(backbone.config, folder)
    task = _task_of(header, shard, folder)
    if header.encode_batch is None or header.wanted_sizes is None:
        raise DinaError(
            f"{folder}: does not say how many rows were encoded at once, or of which sizes; prepare the cache again"
        )
    settings = EncodingSettings(header.wanted_sizes, header.encode_batch, getattr(torch, header.dtype))
    with one_writer(folder), tempfile.TemporaryDirectory() as scratch:
        work = _work_of(folder, header, task, comparisons, Path(scratch) / "pictures.bin")
        (encoded,) = _encoded(backbone, work, settings)
        recorded = next(info for info in header.shards if info.name == shard)
        if tensors_hash(encoded.tensors) != recorded.sha256:
            raise DinaError(
                f"{folder / shard}: encoded again it holds other numbers than the cache recorded; it was made on "
                f"{', '.join(header.devices) or 'an unknown device'} in "
                f"{', '.join(header.compute_dtypes) or 'an unknown type'}, this is {' in '.join(made_by(backbone))}. "
                "Nothing was written: prepare the cache again"
            )
        return write_shard(folder, shard, encoded.tensors, head_of(encoded))


def _encoded(backbone: Backbone, work: Work, settings: EncodingSettings) -> list[Encoded]:
    encode = encode_prompts if work.task.bucket is None else encode_pictures
    return list(encode(backbone, [work], settings, lambda rows: None))


def _task_of(header: CacheHeader, shard: str, folder: Path) -> Task:
    tables: list[tuple[int | None, tuple[ShardInfo, ...]]] = [(n, b.shards) for n, b in enumerate(header.buckets)]
    for bucket, infos in [*tables, (None, header.prompts)]:
        first = 0
        for info in infos:
            if info.name == shard:
                return Task(shard, bucket, first, info.rows)
            first += info.rows
    names = [info.name for info in header.shards]
    raise DinaError(f"{folder}: has no shard {shard!r}; accepted: one of {len(names)}, such as {names[0]}")


def _work_of(folder: Path, header: CacheHeader, task: Task, comparisons: Iterable[Comparison], aside: Path) -> Work:
    rows = slice(task.first, task.first + task.rows)
    if task.bucket is None:
        return Work(task, prompts=tuple(read_columns(folder, PROMPTS_FILE, header)["text"][rows]))
    columns = read_columns(folder, IMAGES_FILE, header)
    keys = [key for key, bucket in zip(columns["key"], columns["bucket"], strict=True) if bucket == task.bucket][rows]
    size = header.buckets[task.bucket]
    assert size.width is not None and size.height is not None
    found = _places(folder, task, set(keys), comparisons, aside)
    return Work(task, pictures=tuple(found[key] for key in keys), size=Bucket(size.width, size.height), aside=aside)


def _places(
    folder: Path, task: Task, wanted: set[str], comparisons: Iterable[Comparison], aside: Path
) -> dict[str, Place]:
    """Where the pictures of a shard are, by their keys; ValueError where some are not among the comparisons."""
    found: dict[str, Place] = {}
    with aside.open("wb") as file:
        for comparison in comparisons:
            for source in (comparison.image_a, comparison.image_b):
                key = image_key(source)
                looked = looked_at(source) if key in wanted - found.keys() else ""
                if isinstance(looked, str):
                    continue
                offset, length = file.tell(), file.write(looked.aside)
                found[key] = place_of(looked.name, key, looked.path, offset, length, looked.shape)
            if len(found) == len(wanted):
                break
    if len(found) < len(wanted):
        raise DinaError(
            f"{folder / task.name}: {len(wanted) - len(found)} of its {len(wanted)} pictures are not among the "
            "comparisons given, or are no longer what they were; accepted: the comparisons that the cache is of"
        )
    return found
