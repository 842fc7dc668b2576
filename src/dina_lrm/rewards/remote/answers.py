"""Answers that hold scores: an answer counts when it is exactly that, one number an item that a float32 holds."""

from __future__ import annotations

from typing import Any, Final

import torch

from dina_lrm.rewards.addresses import printable
from dina_lrm.rewards.remote.connections import Answer
from dina_lrm.rewards.remote.errors import RemoteRewardError
from dina_lrm.runs.json_files import parse_json

BYTES_A_SCORE: Final = 64
_LARGEST: Final = torch.finfo(torch.float32).max


def read_answer(name: str, answer: Answer, version: str) -> dict[str, Any]:
    """The object of an answer of this protocol version. RemoteRewardError for any other body."""
    told = printable(answer.body)
    try:
        values = parse_json(answer.body, "its answer")
    except ValueError as error:
        raise RemoteRewardError(f"{name}: no scores in '{told}' ({printable(str(error))})") from error
    found = values.get("protocol_version") if isinstance(values, dict) else None
    if found is None:
        raise RemoteRewardError(f"{name}: no scores and no protocol_version in '{told}'")
    if found != version or not isinstance(found, str):
        raise RemoteRewardError(f"{name}: protocol version {short(found)}; accepted: {version!r}")
    assert isinstance(values, dict)
    return values


def checked_scores(name: str, key: str, scores: object, count: int) -> list[float]:
    """The list of scores under a key. RemoteRewardError unless there is one for each item, finite."""
    if not isinstance(scores, list):
        raise RemoteRewardError(f"{name}: {key} is {short(scores)}; accepted: a list of numbers")
    if len(scores) != count:
        raise RemoteRewardError(f"{name}: {len(scores)} scores for {count} latents; accepted: one each")
    bad = next((number for number, score in enumerate(scores) if not _is_score(score)), None)
    if bad is not None:
        raise RemoteRewardError(f"{name}: score {bad} is {short(scores[bad])}; accepted: numbers that a float32 holds")
    return [float(score) for score in scores]


def short(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """The beginning of a value, as one line."""
    if isinstance(value, int) and abs(value) > 10**30:  # as text it may be too long to be made
        return "a number of more than 30 digits"
    return printable(repr(value), 80)


def _is_score(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
