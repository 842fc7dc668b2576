"""The route of pickles, which are read and never unpickled, for clients that send nothing else."""

from __future__ import annotations

from typing import final
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dina_lrm.serving.http.refusals import PICKLES, refusal
from dina_lrm.serving.problems import problem_of
from dina_lrm.serving.protocols import pickled
from dina_lrm.serving.routes.desk import Desk
from dina_lrm.serving.routes.documents import BLOB


def add_pickles(app: FastAPI, desk: Desk) -> None:
    """Add the route of pickles, which is for loopback, or behind a token, and off by default."""

    @app.post("/v1/pickle/{name}", summary="Pictures in a pickle of plain values, never unpickled", openapi_extra=BLOB)
    @app.post("/v1/pickle/{name}/", include_in_schema=False)
    async def score(name: str, request: Request) -> Response:
        try:
            desk.engine.model(name)
            asked = await desk.read(request, lambda body: pickled.read_request(body, desk.engine.limits, name))
            scored = pickled.answer(await desk.scored(request, name, asked.items))
            return Response(scored, media_type="application/octet-stream")
        except Exception as error:
            return refusal(problem_of(error), request.scope["path"])


@final
class UnderPickles:
    """An application whose every path means one below /v1/pickle/, so that whatever answers, answers in pickles."""

    def __init__(self, app: ASGIApp, default: str) -> None:
        self._app, self._default = app, default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the path that is meant."""
        if scope["type"] == "http" and not scope["path"].startswith(PICKLES):
            name = scope["path"].strip("/") or self._default
            scope = {**scope, "path": f"{PICKLES}{name}", "raw_path": f"{PICKLES}{quote(name)}".encode()}
        await self._app(scope, receive, send)
