"""Answers of protocol 2, for latents and for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request

from dina_lrm.serving.items import ModelScores, ScoreKind
from dina_lrm.serving.items import Request as Asked
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.protocols import latents_v2
from dina_lrm.serving.routes.desk import Desk
from dina_lrm.serving.served import Served


async def answered(request: Request, desk: Desk, asked: Asked) -> dict[str, Any]:
    """The answer to a request that asks all of its models the same. Raises Problem where its only one has none."""
    return told_of(await desk.of_all(request, dict.fromkeys(asked.models, asked)), asked.kinds, asked.told)


def told_of(
    found: Sequence[tuple[Served, ModelScores]], kinds: tuple[ScoreKind, ...], told: dict[str, Any]
) -> dict[str, Any]:
    """The answer with the scores of each model, or its error in their place. Raises Problem where the only one has
    none.
    """
    answer = latents_v2.answer([*found], kinds, told)
    if len(found) == 1 and "error" in (only := answer["results"][found[0][0].name]):
        raise Problem(only["status"], only["error"]["code"], only["error"]["message"])
    return answer
