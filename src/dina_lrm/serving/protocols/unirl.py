"""`POST /score` and `GET /rewards` as UniRL's reward service has them.

    {"requests": [{"history": [{"text": .., "image_b64": ..}], "required_rewards": [..], "metadata": ..}]}
    200  {"results": [{"dina": {"raw": .., "z": ..}}], "errors": [{}]}

One entry a request. The first key of a reward is the one that its client takes: "raw" stands first. The last turn of a
history is the picture that is judged. Reasons go into `errors` with status 200, because its client asks three times
whatever the status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dina_lrm.serving.items import ModelScores, PictureItem
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.pictures import Gallery, decoded
from dina_lrm.serving.problems import Problem, bad_request
from dina_lrm.serving.protocols.bodies import check_count, checked_prompt, read_body
from dina_lrm.serving.served import Served


class Turn(BaseModel):
    """A text with its picture."""

    model_config = ConfigDict(extra="allow", strict=True)

    text: str = ""
    image_b64: str | None = None


class Entry(BaseModel):
    """One sample."""

    model_config = ConfigDict(extra="allow", strict=True)

    history: list[Turn] = Field(min_length=1)
    required_rewards: list[str] = Field(min_length=1)
    metadata: dict[str, Any] | None = None


class ScoreBody(BaseModel):
    """What UniRL sends: the whole shard in one body."""

    model_config = ConfigDict(extra="forbid", strict=True)

    requests: list[Entry]


def read_request(
    body: bytes, limits: Limits, known: Mapping[str, Served]
) -> list[tuple[PictureItem | Problem, list[str]]]:
    """For each request its picture, or why it has none, and the rewards asked for. Problem 400 for an unknown one."""
    asked = read_body(ScoreBody, body, limits)
    check_count(len(asked.requests), limits)
    unknown = sorted({name for entry in asked.requests for name in entry.required_rewards if name not in known})
    if unknown:
        raise bad_request("unknown_reward", f"no reward {unknown[0][:80]!r}; accepted: {', '.join(known)}")
    gallery = Gallery(limits)
    return [(_item(entry, row, limits, gallery), entry.required_rewards) for row, entry in enumerate(asked.requests)]


def _item(entry: Entry, row: int, limits: Limits, gallery: Gallery) -> PictureItem | Problem:
    turn, place = entry.history[-1], f"requests[{row}].history[{len(entry.history) - 1}]"
    refused = [name for name in turn.model_extra or {} if (turn.model_extra or {})[name] is not None]
    try:
        if refused:
            raise bad_request("reference_refused", f"{place}: {refused[0][:40]}; accepted: text and image_b64")
        if turn.image_b64 is None:
            raise bad_request("bad_image", f"{place}: no image_b64")
        prompt = checked_prompt(turn.text, f"{place}.text", limits)
        return PictureItem(decoded(gallery.of_base64(turn.image_b64, place), place), prompt)
    except Problem as problem:
        return problem


def answer(
    asked: list[tuple[PictureItem | Problem, list[str]]], found: Mapping[str, tuple[Served, Mapping[int, Any]]]
) -> dict[str, Any]:
    """The body of a 200; `found` has, for each reward, its model and what came of each request by its number."""
    results: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    for row, (item, names) in enumerate(asked):
        result: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for name in names:
            served, scores = found[name]
            score = item if isinstance(item, Problem) else scores[row]
            if isinstance(score, Problem):
                wrong[name] = score.message
            else:
                result[name] = {"raw": score.raw, **_normalised(served, score.raw)}
        results.append(result)
        errors.append(wrong)
    return {"results": results, "errors": errors}


def by_reward(asked: list[tuple[PictureItem | Problem, list[str]]]) -> dict[str, list[tuple[int, PictureItem]]]:
    """The pictures that each reward is asked about, with the numbers of their requests."""
    found: dict[str, list[tuple[int, PictureItem]]] = {name: [] for _, names in asked for name in names}
    for row, (item, names) in enumerate(asked):
        if isinstance(item, PictureItem):
            for name in dict.fromkeys(names):
                found[name].append((row, item))
    return found


def kept(scores: ModelScores, rows: list[int]) -> dict[int, Any]:
    """What came of each request, by its number."""
    return dict(zip(rows, scores.scores, strict=True))


def _normalised(served: Served, raw: float) -> dict[str, float]:
    try:
        return {"z": served.z(raw)}
    except Problem:
        return {}
