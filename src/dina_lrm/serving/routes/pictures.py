"""The routes of pictures: scored, and two compared."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse

from dina_lrm.serving.items import Request as Asked
from dina_lrm.serving.problems import bad_request
from dina_lrm.serving.protocols import images
from dina_lrm.serving.protocols.parts import is_multipart, read_parts
from dina_lrm.serving.routes.desk import Desk
from dina_lrm.serving.routes.documents import json_body
from dina_lrm.serving.routes.second import answered


def add_pictures(app: FastAPI, desk: Desk) -> None:
    """Add the routes that score and compare pictures."""

    async def read(request: Request, kind: type[images.ImagesBody]) -> Asked:
        limits, models = desk.engine.limits, (desk.engine.default,)
        content = request.headers.get("content-type", "")

        def asked(body: bytes) -> Asked:
            text, files = read_parts(body, content, limits) if is_multipart(content) else (body, None)
            return images.read_request(kind, text, files, limits, models)

        return await desk.read(request, asked)

    @app.post("/v1/score/images", summary="Score pictures", openapi_extra=json_body(images.ImagesBody, True))
    async def score(request: Request) -> JSONResponse:
        return JSONResponse(await answered(request, desk, await read(request, images.ImagesBody)))

    @app.post("/v1/compare", summary="Compare pictures", openapi_extra=json_body(images.CompareBody, True))
    async def compare(request: Request) -> JSONResponse:
        asked = await read(request, images.CompareBody)
        if len(asked.models) != 1:
            raise bad_request("bad_request", f"{len(asked.models)} models; accepted: one")
        served = desk.engine.model(asked.models[0])
        return JSONResponse(images.compared(served, asked, await desk.scored(request, served.name, asked.items)))
