"""Whether a command ended as it should: by its exit code, by what it said, by what it left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fuzzing.cases import Case
from dina_lrm.screen import escaped

_CPP = re.compile(r"frame #\d|Exception raised from|\bc10::|\bat::|\.cpp:\d|\.cc:\d|panicked at|core dumped")
_ERROR = re.compile(r"^dina-lrm( [a-z-]+)*: error: ")
_BUG = re.compile(r"error: (KeyError|IndexError|TypeError|AttributeError|AssertionError|NameError|ZeroDivisionError)\b")
_LIBRARY = re.compile(r"^\s*(warnings\.warn|File \")|\.py:\d+:|Warning: ")
_LITTER = re.compile(r"\.tmp(\.|$)|^\.dina-lrm\.[0-9a-f]|^tmp|\.old$|\.part$")


@dataclass
class Ended:
    """What became of a case."""

    number: int
    kind: str
    words: Sequence[str]
    told: str
    code: int | None
    seconds: float
    faults: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def outcome(self) -> str:
        """A word for the table of outcomes."""
        return {0: "done", 1: "failed", 2: "refused"}.get(-1 if self.code is None else self.code, "ended wrongly")


def faults_of(case: Case, folder: Path, code: int | None, out: str, err: str) -> list[str]:
    """All that is wrong with the end of a command; none for a good one."""
    if code is None:
        return [f"it broke off: {err.strip().splitlines()[-1:] or 'no word'}"]
    faults = [] if code in case.codes else [f"exit code {code}, right are {sorted(case.codes)}"]
    if "Traceback (most recent call last)" in err + out:
        faults.append("a traceback")
    if _CPP.search(err):
        faults.append("words of C++")
    if code != 0:
        faults += _faults_of_refusal(case, err)
    elif case.honest is not None:
        faults += filter(None, [_asked(case, folder)])
    return faults + _left(folder) + _json_fault(folder, code)


def _asked(case: Case, folder: Path) -> str | None:
    assert case.honest is not None
    try:
        return case.honest(folder)
    except Exception as error:
        return f"the result cannot be read: {error!r:.200}"


def _faults_of_refusal(case: Case, err: str) -> list[str]:
    errors = [line for line in err.splitlines() if _ERROR.match(line)]
    if len(errors) != 1:
        return [f"{len(errors)} lines that say the error: {err.strip()[-200:]!r}"]
    faults = []
    if _BUG.search(errors[0]):
        faults.append(f"a word of Python: {errors[0][:160]}")
    if "out of memory" in errors[0]:
        faults.append("out of memory")
    if not err.rstrip("\n").endswith(errors[0]):
        faults.append(f"more after the error: {err.strip()[-160:]!r}")
    if any(_LIBRARY.search(line) for line in err.splitlines() if line != errors[0]):
        faults.append("words of a library")
    if case.names and not any(escaped(name) in errors[0] for name in case.names):
        faults.append(f"the file is not named: {errors[0][:200]}")
    return faults


def _left(folder: Path) -> list[str]:
    found = [str(path.relative_to(folder)) for path in folder.rglob("*") if _LITTER.search(path.name)]
    return [f"litter: {found[0]!a}"] if found else []


def _json_fault(folder: Path, code: int) -> list[str]:
    path = folder / "result.json"
    if not path.is_file():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return [f"--json is no JSON: {error}"]
    return [] if ("error" in found) == (code != 0) else [f"--json says {str(found)[:80]} at exit code {code}"]
