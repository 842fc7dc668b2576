"""What a table lacks that no layout fits: the layout that is nearest, and the mapping that would make it fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dina_lrm.data.sources.layouts import LAYOUTS, preferred
from dina_lrm.data.sources.layouts.labels import HOW
from dina_lrm.data.sources.layouts.layout import Kind, Layout, Part, askable
from dina_lrm.pictures.files import SUFFIXES

_VERDICT: Final = preferred.LAYOUT.parts[-1]


def nearest(values: Mapping[str, Any]) -> tuple[str, Layout] | None:
    """The layout of which something is there beside the prompt, by name; None where there is none.

    First those that the cells of the row would complete, then those that lack the fewest columns.
    """
    names = tuple(map(str, values))
    found = []
    for place, (name, layout) in enumerate(LAYOUTS.items()):
        missing = layout.missing(names)
        there = [part for part in layout.parts if part not in missing and "prompt" not in part.roles]
        if there:
            lacking = sum(len(part.roles) for part in missing)
            has = sum(len(part.roles) for part in there)
            found.append((_mapping(missing, values, layout) is None, lacking, -has, place, name, layout))
    return min(found)[4:] if found else None


def told_missing(values: Mapping[str, Any], wanted: str | None = None) -> str | None:
    """What the layout that is nearest to a row, or the one `wanted`, lacks, and the mapping that would do.

    None where no layout is near.
    """
    near = nearest(values) if wanted is None else (wanted, LAYOUTS[wanted])
    if near is None:
        return None
    name, layout = near
    lacking = _lacking(layout, values)
    added = _added(_mapping(layout.missing(values), values, layout))
    return f"no column {lacking} for {name} ({layout.about}){added}; found: {', '.join(map(str, values))}"


def nearest_told(values: Mapping[str, Any], own: Iterable[str], wanted: str | None = None) -> str:
    """Which layout is nearest to a row that fits none, and what it lacks; our `own` columns where none is near."""
    near = nearest(values) if wanted is None else (wanted, LAYOUTS[wanted])
    if near is None:
        lacking = ", ".join(name for name in own if name not in values)
        return f"none; nearest is ours ({', '.join(own)}), without: {lacking}"
    name, layout = near
    return f"none; nearest is {name} ({layout.about}), without: {_lacking(layout, values)}"


def own_mapping(values: Mapping[str, Any]) -> str:
    """How a table is mapped to our own columns, where its cells leave one way; else nothing."""
    layout = preferred.LAYOUT
    return _added(_mapping(layout.missing(values), values, layout))


def _lacking(layout: Layout, values: Mapping[str, Any]) -> str:
    missing = [role for part in layout.missing(values) for role in part.roles]
    return ", ".join("preference" if role in _VERDICT.roles else role for role in missing)


def _added(mapping: Mapping[str, str] | None) -> str:
    if not mapping:
        return ""
    given = ",".join(f"{role}={column}" for role, column in mapping.items())
    return f"; add --columns {given}{f', where {HOW}' if 'HOW:' in given else ''}"


def _mapping(missing: Iterable[Part], values: Mapping[str, Any], layout: Layout) -> dict[str, str] | None:
    """The columns for each missing part, where as many are left that hold what it needs; None where it is not clear."""
    found = [part.found(askable(values)) for part in layout.parts]
    claimed = {column for one in found if one is not None for column in one.values()}
    left = {str(name): value for name, value in values.items() if name not in claimed}
    mapping: dict[str, str] = {}
    for part in sorted(missing, key=lambda part: part is _VERDICT):
        free = {name: value for name, value in left.items() if name not in mapping.values()}
        if part is _VERDICT:
            could = [_verdict(name, value) for name, value in free.items() if _kind(value) in ("number", "text")]
        else:
            could = _could_be(part.kind, free)
        if len(could) != len(part.roles):
            return None
        mapping |= zip(("preference",) if part is _VERDICT else part.roles, could, strict=True)
    return mapping


def _could_be(kind: Kind, values: Mapping[str, Any]) -> list[str]:
    """The columns whose cells seem to be of a kind; of several texts those of more than one word."""
    could = [name for name, value in values.items() if _kind(value) == kind]
    several = kind == "text" and len(could) > 1
    return [name for name in could if " " in values[name].strip()] if several else could


def _verdict(name: str, value: object) -> str:
    """How a verdict is mapped: by its words; as what it must be, where the number says so; else HOW is for a user."""
    if _kind(value) == "text":
        return name
    number = float(str(value))
    if number < 0:
        return f"signed:{name}"
    return name if 0 < number < 1 else f"HOW:{name}"


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
