"""Problems as answers: whatever a route raises ends as a typed error with a sentence, in the form its client reads."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from dina_lrm.serving.http.refusals import refusal
from dina_lrm.serving.problems import Problem


def answer_problems(app: FastAPI) -> None:
    """Answer a `Problem` as it says, an unknown route or method as one, and anything else as a failure of ours."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(Exception, _failed)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return refusal(error, request.scope["path"])


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "unknown_route", 405: "unknown_method"}.get(error.status_code, "bad_request")
    return refusal(Problem(error.status_code, code, str(error.detail)), request.scope["path"])


async def _failed(request: Request, error: Exception) -> Response:
    return refusal(Problem(500, "failed", f"{type(error).__name__}"), request.scope["path"])
