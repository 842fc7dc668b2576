"""The route of pickles, which are read and never unpickled, for clients that send nothing else."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from dina_lrm.serving.http.refusals import refusal
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
            body = await desk.body(request)
            asked = await desk.prepared(lambda: pickled.read_request(body, desk.engine.limits, name))
            scored = pickled.answer(await desk.scored(request, name, asked.items))
            return Response(scored, media_type="application/octet-stream")
        except Exception as error:
            return refusal(problem_of(error), request.scope["path"])
