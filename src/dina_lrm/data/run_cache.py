"""The cache that a run keeps beside itself: comparisons that were named by a file are encoded once, and known again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dina_lrm.data.cache.format import HEADER
from dina_lrm.data.cache.remote.addresses import is_address
from dina_lrm.data.sources import is_hub
from dina_lrm.data.sources.folders import own_tables
from dina_lrm.runs.content import content_of, content_of_files
from dina_lrm.runs.files import write_json
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.typed import DinaError


def is_cache(name: str) -> bool:
    """Whether a name of data is that of a cache, which is encoded already: a folder, or an address of one."""
    return is_address(name) or any((Path(name) / each).is_file() for each in (HEADER, "pairs.parquet"))


def check_unchanged(
    name: str, cache: Path, columns: Mapping[str, str] | None, option: str = "--data", more: Mapping[str, object] = {}
) -> None:
    """Remember beside the cache which comparisons it is of, and what `more` decided them; ValueError for others now.

    `option` is how the command calls what names them.
    """
    told: dict[str, object] = {"comparisons": _content(name)} | ({"columns": dict(columns)} if columns else {})
    told |= more
    record = cache.with_name(f"{cache.name}.json")
    if not cache.is_dir():
        record.parent.mkdir(parents=True, exist_ok=True)
        write_json(record, told)
    elif record.is_file() and read_json_object(record) != told:  # caches of earlier versions have none
        raise DinaError(
            f"{option} {name}: was changed since it was encoded into {cache}; accepted: the comparisons as they were, "
            "or another --out"
        )


def _content(name: str) -> str:
    """What tells comparisons from others: the content of their tables, or the word that names them on the hub."""
    path = Path(name)
    if is_hub(name):
        return name
    return content_of(path) if path.is_file() else content_of_files(path, own_tables(path))
