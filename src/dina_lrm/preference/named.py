"""Frozen dataclasses of numbers to plain dicts and back, through a table of names."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, TypeVar

Member = TypeVar("Member")


def to_named_dict(member: Member, table: Mapping[str, type[Member]]) -> dict[str, Any]:
    """The member's name in `table` and all its fields, ready for JSON.

    Raises:
        ValueError: for a class that is no row of the table, and so could not be read back.
    """
    name = next((name for name, kind in table.items() if kind is type(member)), None)
    require(name is not None, "to_dict: class", type(member).__name__, f"a row of the table {', '.join(table)}")
    assert is_dataclass(member) and not isinstance(member, type)
    return {"name": name, **asdict(member)}


def from_named_dict(values: Mapping[str, Any], table: Mapping[str, type[Member]], what: str) -> Member:
    """The member of `table` that `to_named_dict` described; a field that is left out has its default.

    Raises:
        ValueError: for an unknown name or field, or a value that is no finite number, with what is accepted.
    """
    name = values.get("name")
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"{what}: name is {name!r}; accepted are {', '.join(table)}")
    kind = table[name]
    assert is_dataclass(kind)
    accepted = [field.name for field in fields(kind)]
    given = {key: value for key, value in values.items() if key != "name"}
    for key, value in given.items():
        if key not in accepted:
            raise ValueError(
                f"{what} {name!r}: unknown field {key!r}; accepted are {', '.join(accepted) or 'no fields'}"
            )
        require(_is_number(value), f"{what} {name!r}: {key}", value, "a finite number")
    member: Member = kind(**{key: float(value) for key, value in given.items()})
    return member


def require(condition: bool, where: str, given: object, accepted: str) -> None:
    """Raise a ValueError that says where, what was given and what is accepted, unless `condition` holds."""
    if not condition:
        raise ValueError(f"{where} is {given!r}; accepted is {accepted}")


def _is_number(value: object) -> bool:
    """Whether it is one, and a float holds it."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
