"""Whether an answer keeps the law: typed errors of documented codes, no fault of the server, nothing said of itself."""

from __future__ import annotations

import io
import json
import math
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.serving_fuzzing.requests import Case
from benchmarks.serving_fuzzing.sending import Answer

DOCUMENT = Path(__file__).parents[2] / "docs" / "serving.md"
_OWN_FAULTS = frozenset({503, 504, 507})
_LEAK = re.compile(r"Traceback|File \"|site-packages|\.py\b|/root|/home|/tmp|/work|/usr|0x[0-9a-f]{6,}|object at")
_LONGEST_MESSAGE = 1500


def documented(text: str | None = None) -> dict[int, frozenset[str]]:
    """The codes of each status, from the table of the documents."""
    found: dict[int, set[str]] = {}
    for line in (text or DOCUMENT.read_text(encoding="utf-8")).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 2 or not re.fullmatch(r"\d{3}(, \d{3})*", cells[0]):
            continue
        for status in cells[0].split(", "):
            found.setdefault(int(status), set()).update(re.findall(r"`([a-z_0-9]+)`", cells[1]))
    return {status: frozenset(codes) for status, codes in found.items()}


class _Plain(pickle.Unpickler):
    """Reads pickles of plain values alone."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse every global."""
        raise pickle.UnpicklingError(f"an answer names {module}.{name}")


def faults_of(case: Case, answer: Answer, codes: Mapping[int, frozenset[str]], slowest: float) -> list[str]:
    """All that is wrong with an answer; none for a good one."""
    if answer.why == "hangs" or answer.seconds > slowest:
        return [f"it took {answer.seconds:.1f} s"]
    if answer.status is None:
        return [] if case.silent or case.leaves else [f"no answer ({answer.why})"]
    faults = []
    if answer.status >= 500 and answer.status not in _OWN_FAULTS:
        faults.append(f"status {answer.status}")
    try:
        if case.path == "/compute" and answer.status == 200 and "error" in (found := json.loads(answer.body)):
            return [*_of_text(found["error"], codes)]
        if case.refused and answer.status < 400:
            faults.append(f"status {answer.status} for what cannot be right")
        faults += _of_success(case, answer) if answer.status < 400 else _of_error(case, answer, codes)
    except (ValueError, KeyError, TypeError, pickle.UnpicklingError, EOFError) as error:
        faults.append(f"the body of {answer.status} is not typed ({error!s:.80}): {answer.body[:120]!r}")
    return faults


def _of_error(case: Case, answer: Answer, codes: Mapping[int, frozenset[str]]) -> Iterator[str]:
    if case.method == "HEAD":
        return
    assert answer.status is not None
    code, message = _error(case, answer)
    known = codes.get(answer.status, frozenset())
    if code not in known:
        yield f"{answer.status} {code!r} is not documented"
    yield from _of_message(message)


def _of_text(text: str, codes: Mapping[int, frozenset[str]]) -> Iterator[str]:
    """What is wrong with "code: message", told with status 200 to a client that reads nothing of another."""
    code, _, message = text.partition(": ")
    if not any(code in known for known in codes.values()):
        yield f"{code!r} is not documented"
    yield from _of_message(message)


def _of_message(message: str) -> Iterator[str]:
    if leak := _LEAK.search(message):
        yield f"it tells {leak[0]!r}: {message[:160]!r}"
    if len(message) > _LONGEST_MESSAGE:
        yield f"a message of {len(message)} characters"


def _error(case: Case, answer: Answer) -> tuple[str, str]:
    if case.path.startswith("/v1/pickle/"):  # its clients unpickle whatever comes back
        code, _, message = _Plain(io.BytesIO(answer.body)).load()["error"].partition(": ")
        return code, message
    if not answer.headers.get("content-type", "").startswith("application/json"):
        raise ValueError(f"content-type {answer.headers.get('content-type')}")
    error = json.loads(answer.body)["error"]
    return error["code"], error["message"]


def _of_success(case: Case, answer: Answer) -> Iterator[str]:
    kind = answer.headers.get("content-type", "")
    if case.method == "HEAD":
        return
    if case.path.startswith("/v1/pickle/"):
        found: Any = _Plain(io.BytesIO(answer.body)).load()
    elif kind.startswith("application/json"):
        found = json.loads(answer.body)
    else:
        return
    if not all(math.isfinite(number) for number in _numbers(found)):
        yield "a number that is not finite"


def _numbers(value: Any) -> Iterator[float]:  # noqa: ANN401 - any plain value
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _numbers(inner)
