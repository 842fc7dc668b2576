"""What the tables of a cache tell of each row of its tensors: from the tables themselves, or from the tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dina_lrm.data.cache.format import CacheHeader
from dina_lrm.data.cache.prompt_layout import row_hashes
from dina_lrm.data.cache.shards import ShardedRows
from dina_lrm.data.cache.tables import IMAGES_FILE, PROMPTS_FILE, read_columns

Rows = Iterable[Sequence[Any]]


@dataclass(frozen=True)
class RowsTold:
    """Rows of images.parquet and of prompts.parquet, in the order of the tensors' rows."""

    images: Callable[[], Rows]
    prompts: Callable[[], Rows]


def stored_rows_told(folder: Path, header: CacheHeader) -> RowsTold:
    """What the tables of a cache of the present format say."""

    def rows(name: str) -> Callable[[], Rows]:
        return lambda: zip(*_plain(read_columns(folder, name, header)), strict=True)

    return RowsTold(rows(IMAGES_FILE), rows(PROMPTS_FILE))


def computed_rows_told(
    latents: Sequence[ShardedRows],
    conditioning: ShardedRows,
    prompts: Sequence[str],
    truncated: Sequence[str | None],
    names: Callable[[], dict[tuple[int, int], str]] = dict,
) -> RowsTold:
    """What the tensors say alone: an image is known by the hash of its latents; `names` are by bucket and row."""

    def images() -> Iterator[Sequence[Any]]:
        known = names()
        for bucket, table in enumerate(latents):
            for row, sha256 in enumerate(_hashes(table)):
                yield bucket, row, known.get((bucket, row), ""), f"latents:{sha256}", 0, 0, sha256

    def texts() -> Iterator[Sequence[Any]]:
        for text, cut, sha256 in zip(prompts, truncated, _hashes(conditioning), strict=True):
            yield text, cut, -1, sha256

    return RowsTold(images, texts)


def first_names(folder: Path, header: CacheHeader) -> dict[tuple[int, int], str]:
    """How images are called, by bucket and row, in a cache of format 1, which may have left it out."""
    columns = read_columns(folder, IMAGES_FILE, header)
    return {(int(b), int(r)): name for b, r, name in zip(*columns.values(), strict=True)}


def _hashes(table: ShardedRows) -> Iterator[str]:
    for shard in table.shards():
        yield from row_hashes(shard)


def _plain(columns: dict[str, Any]) -> list[list[Any]]:
    return [values if isinstance(values, list) else values.tolist() for values in columns.values()]
