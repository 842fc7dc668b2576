"""Plain dictionaries to typed, frozen dataclasses and back, strictly.

A key that is not a field is an error that names the key, the place and the nearest accepted name: a misspelt setting
can then never turn a feature off in silence.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union

Config = TypeVar("Config")
Member = TypeVar("Member")
_TABLE: Final = "table"
_TAG: Final = "tag"
_UNTAGGED: Final = "untagged"


class DinaError(ValueError):
    """What a user gave cannot be used: the message says where, what was given, and what is accepted."""


def require(condition: bool, where: str, given: object, accepted: str) -> None:
    """Raise a ValueError that names the setting, what was given and what is accepted, unless `condition` holds."""
    if not condition:
        raise DinaError(f"{where}: got {given!r}; accepted: {accepted}")


def to_plain(value: Any) -> Any:  # noqa: ANN401 - walks any JSON-like tree
    """`value` with dataclasses as dictionaries, tuples as lists and paths as text, ready for `json.dumps`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: field_to_plain(field, getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def field_to_plain(field: dataclasses.Field[Any], value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """`value` of a field as `to_plain` gives it, with its tag where the field holds one of several kinds."""
    table = field.metadata.get(_TABLE)
    return to_plain(value) if table is None else to_tagged(value, table, field.metadata[_TAG])


def from_plain(kind: type[Config], values: object, where: str = "config") -> Config:
    """Build the dataclass `kind` from plain values; missing keys take their defaults.

    Raises `ValueError` for an unknown key, a missing one that has no default, a value of the wrong type or a value the
    class itself refuses.
    """
    if not isinstance(values, Mapping):
        raise DinaError(f"{where}: expected a table of settings, got {values!r}")
    accepted = [field.name for field in dataclasses.fields(typing.cast(Any, kind))]
    for key in values:
        if key not in accepted:
            raise DinaError(unknown_key(_below(where, key), key, accepted))
    missing = [field.name for field in dataclasses.fields(typing.cast(Any, kind)) if _required(field, values)]
    if missing:
        raise DinaError(f"{where}: the key {missing[0]!r} is missing; expected: {', '.join(accepted)}")
    hints = _hints(typing.cast(Any, kind))
    own = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    converted = {key: _convert_field(own[key], hints[key], value, _below(where, key)) for key, value in values.items()}
    try:
        return kind(**converted)
    except ValueError as error:
        if not where or str(error).startswith(where):
            raise
        raise DinaError(f"{where}: {error}") from error


def updated(settings: Config, values: Mapping[str, Any], where: str = "") -> Config:
    """The dataclass with the plain values given in the place of its own, at any depth; what is not given stays.

    Raises `ValueError` as `from_plain`, naming the key by its dotted name, behind `where`.
    """
    own = {field.name: field for field in dataclasses.fields(typing.cast(Any, settings))}
    hints, changed = _hints(typing.cast(Any, type(settings))), {}
    for key, value in values.items():
        place = _below(where, key)
        if key not in own:
            raise DinaError(unknown_key(place, key, list(own)))
        before = getattr(settings, key)
        if dataclasses.is_dataclass(before) and isinstance(value, Mapping) and _TABLE not in own[key].metadata:
            changed[key] = updated(before, value, place)
        else:
            changed[key] = _convert_field(own[key], hints[key], value, place)
    return typing.cast(Config, dataclasses.replace(typing.cast(Any, settings), **changed))


def from_plain_value(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401 - dispatches on a type hint
    """A plain value as what a type hint says: a dataclass, a tuple, a path, ...; ValueError for one that is none."""
    return _convert(hint, value, where)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """The types of its fields: reading them from their text takes longer than all else."""
    return typing.get_type_hints(kind)


def to_tagged(member: Member, table: Mapping[str, type[Member]], tag: str = "name") -> dict[str, Any]:
    """One of several dataclasses as plain values: its name in `table` as `tag`, and all its fields.

    Raises ValueError for a class that is no row of the table, and so could not be read back.
    """
    name = next((name for name, kind in table.items() if kind is type(member)), None)
    require(name is not None, "class", type(member).__name__, f"a row of the table {', '.join(table)}")
    return {tag: name, **to_plain(member)}


def one_of(
    default: Member, table: Mapping[str, type[Member]], tag: str = "name", untagged: str | None = None
) -> Member:
    """A field of a dataclass that holds one of those of `table`: `to_plain` and `from_plain` take its tag along.

    Stored values without a tag are of the one named `untagged`.
    """
    return dataclasses.field(default=default, metadata={_TABLE: table, _TAG: tag, _UNTAGGED: untagged})


def _below(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def is_tagged(settings: Any, name: str) -> bool:  # noqa: ANN401 - any dataclass
    """Whether a field of a dataclass was declared with `one_of`."""
    field = next(field for field in dataclasses.fields(settings) if field.name == name)
    return _TABLE in field.metadata


def from_tagged(
    table: Mapping[str, type[Member]], values: object, where: str, tag: str = "name", default: str | None = None
) -> Member:
    """The member of `table` that `to_tagged` described; without a tag it is the one named `default`.

    Raises ValueError for an unknown name, and as `from_plain`.
    """
    if not isinstance(values, Mapping):
        raise DinaError(f"{where}: expected a table of settings, got {values!r}")
    name = values.get(tag, default)
    known = isinstance(name, str) and name in table
    require(known, f"{where}.{tag}", name, ", ".join(table))
    return from_plain(table[str(name)], {key: value for key, value in values.items() if key != tag}, where)


def _required(field: dataclasses.Field[Any], values: Mapping[str, Any]) -> bool:
    has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return field.init and not has_default and field.name not in values


def unknown_key(where: str, key: str, accepted: Sequence[str]) -> str:
    """The message for a name that does not exist: where it stands, the nearest name, all names."""
    nearest = difflib.get_close_matches(key, accepted, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{where}: unknown key {key!r}; {hint}accepted: {', '.join(accepted) or 'no settings'}"


def _convert_field(field: dataclasses.Field[Any], hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    table = field.metadata.get(_TABLE)
    if table is None or isinstance(value, tuple(table.values())):
        return _convert(hint, value, where)
    return from_tagged(table, value, where, field.metadata[_TAG], field.metadata[_UNTAGGED])


def _convert(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401 - dispatches on a type hint
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        if isinstance(value, typing.cast(type, hint)):
            return value
        return from_plain(typing.cast(Any, hint), value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is Literal:
        if value not in arguments:
            raise DinaError(f"{where}: got {value!r}; accepted: {', '.join(map(repr, arguments))}")
        return value
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise DinaError(f"{where}: expected a list, got {value!r}")
        one_kind = origin is list or arguments[-1] is Ellipsis
        if one_kind and all(type(item) is arguments[0] for item in value):
            return origin(value)
        kinds = [arguments[0]] * len(value) if one_kind else list(arguments)
        if len(kinds) != len(value):
            raise DinaError(f"{where}: expected {len(kinds)} values, got {len(value)}: {value!r}")
        places = zip(kinds, value, range(len(value)), strict=True)
        return origin(_convert(kind, item, f"{where}[{place}]") for kind, item, place in places)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise DinaError(f"{where}: expected a table, got {value!r}")
        return {str(key): _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is Path and isinstance(value, str):
        return Path(value)
    return _convert_plain(hint, value, where)


def _convert_union(choices: tuple[Any, ...], value: Any, where: str) -> Any:  # noqa: ANN401
    if value is None and type(None) in choices:
        return None
    errors = []
    for choice in choices:
        if choice is type(None):
            continue
        try:
            return _convert(choice, value, where)
        except ValueError as error:
            errors.append(str(error))
    raise DinaError("; ".join(errors))


def _convert_plain(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return _float(value, where)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise DinaError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def _float(value: int, where: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise DinaError(f"{where}: a number of {len(str(value))} digits; accepted: what a float holds") from error
