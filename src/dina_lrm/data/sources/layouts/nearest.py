"""What a table lacks that no layout fits: the layout that is nearest, and the mapping that would make it fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dina_lrm.data.sources.layouts import LAYOUTS
from dina_lrm.data.sources.layouts.layout import Kind, Layout, Part, askable
from dina_lrm.data.sources.layouts.parts import PAIR, PROMPT
from dina_lrm.pictures.files import SUFFIXES

_OWN: Final = (PROMPT, Part(("image_a", "image_b"), PAIR.means, (), "picture"))


def nearest(columns: Iterable[str]) -> tuple[str, Layout] | None:
    """The layout of which most is there, by name: some of it beside the prompt; None where there is nothing."""
    names = tuple(map(str, columns))
    found = []
    for place, (name, layout) in enumerate(LAYOUTS.items()):
        missing = layout.missing(names)
        there = [part for part in layout.parts if part not in missing and "prompt" not in part.roles]
        if there:
            found.append((len(missing), -sum(len(part.roles) for part in there), place, name, layout))
    return min(found)[3:] if found else None


def told_missing(values: Mapping[str, Any], wanted: str | None = None) -> str | None:
    """What the layout that is nearest to a row, or the one `wanted`, lacks, and the mapping that would do.

    None where no layout is near.
    """
    near = nearest(values) if wanted is None else (wanted, LAYOUTS[wanted])
    if near is None:
        return None
    name, layout = near
    missing = layout.missing(values)
    roles = ", ".join(role for part in missing for role in part.roles)
    mapping = _mapping(missing, _unclaimed(values, layout.parts))
    return f"no column {roles} for {name} ({layout.about}){_added(mapping)}; found: {', '.join(map(str, values))}"


def nearest_told(values: Mapping[str, Any], own: Iterable[str], wanted: str | None = None) -> str:
    """Which layout is nearest to a row that fits none, and what it lacks; our `own` columns where none is near."""
    near = nearest(values) if wanted is None else (wanted, LAYOUTS[wanted])
    if near is None:
        lacking = ", ".join(name for name in own if name not in values)
        return f"none; nearest is ours ({', '.join(own)}), without: {lacking}"
    name, layout = near
    roles = ", ".join(role for part in layout.missing(values) for role in part.roles)
    return f"none; nearest is {name} ({layout.about}), without: {roles}"


def own_mapping(values: Mapping[str, Any]) -> str:
    """How the prompt and both images of a table are mapped, where its cells leave one way; else nothing."""
    missing = [part for part in _OWN if part.found(askable(values)) is None]
    return _added(_mapping(missing, _unclaimed(values, _OWN))) if missing else ""


def _added(mapping: Mapping[str, str] | None) -> str:
    given = ",".join(f"{role}={column}" for role, column in (mapping or {}).items())
    return f"; add --columns {given}" if given else ""


def _unclaimed(values: Mapping[str, Any], parts: Iterable[Part]) -> dict[str, Any]:
    found = [part.found(askable(values)) for part in parts]
    claimed = {column for one in found if one is not None for column in one.values()}
    return {str(name): value for name, value in values.items() if name not in claimed}


def _mapping(missing: Iterable[Part], values: Mapping[str, Any]) -> dict[str, str] | None:
    """The columns for each missing part, where as many are left that hold what it needs; None where it is not clear."""
    mapping: dict[str, str] = {}
    for part in missing:
        could = [name for name, value in values.items() if _kind(value) == part.kind and name not in mapping.values()]
        if part.kind == "text" and len(could) > 1:
            could = [name for name in could if " " in values[name].strip()]
        if len(could) != len(part.roles):
            return None
        mapping |= zip(part.roles, could, strict=True)
    return mapping


def _kind(value: object) -> Kind | None:
    """What the cell of a table seems to hold."""
    if isinstance(value, bytes) or (isinstance(value, Mapping) and {"bytes", "path"} & set(value)):
        return "picture"
    if isinstance(value, list):
        return "list"
    if isinstance(value, int | float):
        return "number"
    if not isinstance(value, str):
        return None
    if value.lower().endswith(SUFFIXES):
        return "picture"
    try:
        float(value)
    except ValueError:
        return "list" if value.startswith("[") else "text"
    return "number"
