"""What the files of a cache are made of: bytes of each part, and how prompts lie in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dina_lrm.data.cache import format as layout
from dina_lrm.data.cache.format import CacheHeader
from dina_lrm.data.cache.prompt_layout import PromptLayout
from dina_lrm.data.cache.row_files import RowFile, StoredColumn
from dina_lrm.data.cache.shards import ShardInfo, StoredShard
from dina_lrm.screen import bytes_text


@dataclass(frozen=True)
class CacheParts:
    """Bytes of a cache's files: latents by their size in pixels, prompts by their columns, tables, and all the rest.

    They add up to those of the files that `cache.json` names, itself and the card. `layouts` counts prompts by how they
    are laid out.
    """

    latents: dict[str, int]
    prompts: dict[str, int]
    tables: int
    rest: int
    layouts: dict[str, int]

    @classmethod
    def of(cls, folder: Path, header: CacheHeader) -> CacheParts:
        """Count, by the heads of the shards alone."""
        files = [folder / name for name in (*layout.cache_files(header), layout.CARD)]
        whole = sum(path.stat().st_size for path in files if path.is_file())
        latents, prompts, layouts = Counter[str](), Counter[str](), Counter[str]()
        for bucket in header.buckets:
            for info in bucket.shards:
                size = "size not known" if bucket.width is None else f"{bucket.width}x{bucket.height}"
                latents[size] += sum(_bytes(_columns(folder, info)).values())
        for info in header.prompts:
            columns = _columns(folder, info)
            prompts.update(_bytes(columns))
            layouts[str(_layout(columns))] += info.rows
        tables = sum((folder / name).stat().st_size for name in layout.TABLES if (folder / name).is_file())
        rest = whole - tables - latents.total() - prompts.total()
        return cls(dict(latents), dict(prompts), tables, rest, dict(layouts))

    @property
    def bytes(self) -> int:
        """All of them."""
        return sum(self.latents.values()) + sum(self.prompts.values()) + self.tables + self.rest

    def rows(self) -> dict[str, object]:
        """For a table that a person reads."""
        return {
            "prompts lie": ", ".join(f"{name} ({count})" for name, count in self.layouts.items()) or "there are none",
            "bytes of latents": _told(self.latents),
            "bytes of prompts": _told(self.prompts),
            "bytes of tables and heads": f"{bytes_text(self.tables)} and {bytes_text(self.rest)}",
        }


def _columns(folder: Path, info: ShardInfo) -> Mapping[str, StoredColumn]:
    return RowFile.of(StoredShard(folder, info).path).columns


def _bytes(columns: Mapping[str, StoredColumn]) -> dict[str, int]:
    return {name: column.row_bytes * column.shape[0] for name, column in columns.items()}


def _layout(columns: Mapping[str, StoredColumn]) -> PromptLayout:
    clip = columns.get("clip")
    return PromptLayout("tokens" in columns, *((0, 0) if clip is None else clip.shape[1:]))


def _told(parts: dict[str, int]) -> str:
    return f"{bytes_text(sum(parts.values()))}: " + ", ".join(
        f"{name} {bytes_text(size)}" for name, size in parts.items()
    )
