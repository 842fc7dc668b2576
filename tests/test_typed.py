"""Plain values to dataclasses and back: equal after a round trip, and strict about every key and type."""

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from dina_lrm import typed
from dina_lrm.typed import from_plain, to_plain


@dataclass(frozen=True)
class Inner:
    level: float = 0.5
    name: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        if self.level < 0:
            raise ValueError(f"level: got {self.level}, expected at least 0")


@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None
    levels: tuple[float, ...] = ()
    pair: tuple[int, str] = (0, "")
    table: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    flag: bool = False


FULL = Outer(3, Inner(0.1, "b"), Inner(), (0.1, 0.2), (1, "x"), {"k": 1.0}, {"any": [True, {"x": None}]}, True)


@pytest.mark.parametrize("value", [Outer(1), FULL])
def test_round_trip(value: Outer) -> None:
    assert from_plain(Outer, to_plain(value)) == value


def test_a_whole_number_will_do_for_a_float() -> None:
    assert from_plain(Inner, {"level": 1}) == Inner(1.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"count": 1, "cuont": 2},
            r"config\.cuont: unknown key 'cuont'; did you mean 'count'\? accepted: count, inner",
        ),
        ({"count": 1, "inner": {"lvl": 1}}, r"config\.inner\.lvl: unknown key"),
        ({"count": "1"}, r"config\.count: expected int, got '1'"),
        ({"count": True}, r"config\.count: expected int, got True"),
        ({"count": 1, "inner": {"name": "c"}}, r"config\.inner\.name: got 'c'; accepted: 'a', 'b'"),
        ({"count": 1, "inner": {"level": -1}}, r"^config\.inner: level: got -1\.0, expected at least 0$"),
        ({"count": 1, "inner": 3}, r"config\.inner: expected a table of settings, got 3"),
        ({"count": 1, "levels": [0.1, "x"]}, r"config\.levels\[1\]: expected float, got 'x'"),
        ({"count": 1, "levels": [10**400]}, r"config\.levels\[0\]: a number of 401 digits"),
        ({"count": 1, "levels": 0.1}, r"config\.levels: expected a list"),
        ({"count": 1, "pair": [1]}, r"config\.pair: expected 2 values, got 1"),
        ({"count": 1, "table": [1]}, r"config\.table: expected a table"),
        ({"count": 1, "maybe": {"level": "x"}}, r"config\.maybe\.level: expected float"),
    ],
)
def test_what_does_not_fit_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_plain(Outer, values)


def test_a_missing_key_without_a_default_is_named():
    @dataclass(frozen=True)
    class Record:
        step: int
        name: str = ""

    with pytest.raises(ValueError, match=r"state: the key 'step' is missing; expected: step, name"):
        from_plain(Record, {"name": "x"}, "state")


def test_what_a_user_did_has_one_class_in_all_of_the_package():
    """Whoever calls this library catches `dina_lrm.DinaError`; a plain ValueError would pass it by."""
    plain = [
        f"{path}:{node.lineno}"
        for path in Path(typed.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and getattr(node.exc.func, "id", None) == "ValueError"
    ]
    assert plain == [] and issubclass(typed.DinaError, ValueError)
