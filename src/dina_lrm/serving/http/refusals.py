"""The answer to a request that gets no score, in the form that its client reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse, Response

from dina_lrm.serving.problems import Problem
from dina_lrm.serving.protocols import latents_v1, pickled

PICKLES: Final = "/v1/pickle/"
"""What is asked below it is answered in pickles, whatever the status: its clients unpickle every body."""


def refusal(problem: Problem, path: str, headers: Mapping[str, str] | None = None) -> Response:
    """The response of a problem at a path: typed JSON, or a pickle of plain values."""
    again = {} if problem.retry_after is None else {"retry-after": str(problem.retry_after)}
    more = {**again, **(headers or {})}
    if path.startswith(PICKLES):
        return Response(pickled.error_body(problem), problem.status, more, "application/octet-stream")
    return JSONResponse({"protocol_version": latents_v1.VERSION, "error": problem.told()}, problem.status, more)
