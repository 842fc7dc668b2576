"""What a layout of comparisons is: the columns that it is known by, and how a row of it becomes comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.fields import ReadOptions
from dina_lrm.data.sources.rows import Row

Kind = Literal["text", "picture", "number", "list"]
_ENDINGS: Final = ("_file_name", "_filename", "_path")
"""`chosen_file_name`, as in folders of images, and `chosen_path` stand for `chosen` where there is no such column."""


@dataclass(frozen=True)
class Part:
    """Values that stand in a table together, such as both images of a pair.

    `roles` are the names by which they are mapped (`--columns ROLE=COLUMN`) and read; `named` are the columns that they
    are known by, one tuple for each way of naming them, the first that is there counts. `means` says in words what each
    is, and `kind` what their cells hold.
    """

    roles: tuple[str, ...]
    means: tuple[str, ...]
    named: tuple[tuple[str, ...], ...]
    kind: Kind

    def found(self, columns: Mapping[str, str]) -> dict[str, str] | None:
        """The column of each role, among columns by the names that they may be asked for; None where there is none."""
        for names in (self.roles, *self.named):
            if all(name in columns for name in names):
                return {role: columns[name] for role, name in zip(self.roles, names, strict=True)}
        return None


@dataclass(frozen=True)
class Layout:
    """One way in which people write comparisons down.

    `comparisons(row, options)` reads a row in which each value stands under its role too. `preferred_first` says that
    the table names the preferred image first, so that sides are drawn by a coin; `also` are columns that it reads where
    they are there. `conflict(row)` says why a row that is accepted contradicts itself.
    """

    about: str
    parts: tuple[Part, ...]
    comparisons: Callable[[Row, ReadOptions], list[Comparison]]
    preferred_first: bool = False
    also: tuple[str, ...] = ()
    conflict: Callable[[Row], str | None] | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """All names by which its values are mapped."""
        return tuple(role for part in self.parts for role in part.roles)

    def taken(self, columns: Iterable[str]) -> dict[str, str] | None:
        """The column of each role in a table with these columns; None where one is missing."""
        by_name = askable(columns)
        found = [part.found(by_name) for part in self.parts]
        if any(one is None for one in found):
            return None
        return {role: column for one in found if one is not None for role, column in one.items()}

    def missing(self, columns: Iterable[str]) -> tuple[Part, ...]:
        """Its parts that a table with these columns does not have."""
        by_name = askable(columns)
        return tuple(part for part in self.parts if part.found(by_name) is None)


@dataclass(frozen=True)
class Reading:
    """A layout that was recognised, and the column that stands for each of its roles.

    `mapped` says what the table calls columns that a user has mapped; `left_out` are those that are not read.
    """

    name: str
    layout: Layout
    columns: Mapping[str, str]
    left_out: tuple[str, ...] = ()
    mapped: Mapping[str, str] = field(default_factory=dict)

    @property
    def called(self) -> dict[str, str]:
        """What the table calls the column of each role."""
        return {role: self.mapped.get(column, column) for role, column in self.columns.items()}

    def __str__(self) -> str:
        """What each column was taken for, in a line."""
        means = {role: text for part in self.layout.parts for role, text in zip(part.roles, part.means, strict=True)}
        told = [
            column if column == means[role] else f"{means[role]} = {column}" for role, column in self.called.items()
        ]
        sides = "; sides by a coin of each row's content" if self.layout.preferred_first else ""
        rest = f"; not read: {', '.join(self.left_out)}" if self.left_out else ""
        return f"read as {self.name}: {', '.join(told)}{sides}{rest}"

    def row(self, row: Row, values: Mapping[str, Any]) -> Row:
        """The row with each value under its role too."""
        named = {role: values[column] for role, column in self.columns.items()}
        return Row(row.path, row.place, {**values, **named}, called=self.called)


def askable(columns: Iterable[str]) -> dict[str, str]:
    """Columns by the names that they may be asked for: their own, without its ending, in small letters.

    A name that several columns could be meant by is that of none of them, unless one is called so.
    """
    given = [str(name) for name in columns]
    by_name = _only(given, str.casefold) | {name: name for name in given}
    return _only(given, _without_ending) | by_name


def _without_ending(name: str) -> str:
    folded = name.casefold()
    return next((folded.removesuffix(ending) for ending in _ENDINGS if folded.endswith(ending)), folded)


def _only(names: Sequence[str], told: Callable[[str], str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(told(name), []).append(name)
    return {name: columns[0] for name, columns in found.items() if len(columns) == 1 and name}
