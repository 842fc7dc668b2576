"""The routes of latents: scores by protocols 1 and 2, and prompts by their hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse

from dina_lrm.backbones.prompt_rows import PREFIX
from dina_lrm.serving.http.refusals import refusal
from dina_lrm.serving.items import Request as Asked
from dina_lrm.serving.items import unread
from dina_lrm.serving.problems import Problem, bad_request
from dina_lrm.serving.protocols import images, latents_v1, latents_v2
from dina_lrm.serving.routes.desk import VERSIONS, Desk
from dina_lrm.serving.routes.documents import BLOB
from dina_lrm.serving.routes.second import answered, told_of

_HEADER: Final = "x-drm-protocol-version"
_VERSIONS: Final = ", ".join(VERSIONS)


def add_latents(app: FastAPI, desk: Desk) -> None:
    """Add the route that scores latents."""

    @app.post("/v1/score", summary="Score latents (protocols 1 and 2)", openapi_extra=BLOB)
    async def score(request: Request) -> Response:
        protocol = request.headers.get(_HEADER, latents_v1.VERSION)
        if protocol not in (latents_v1.VERSION, latents_v2.VERSION):
            told = Problem(400, "unknown_protocol", f"{_HEADER} {protocol[:20]!r}; accepted: {_VERSIONS}")
            return refusal(told, request.scope["path"], {f"{_HEADER}s": _VERSIONS})
        if protocol == latents_v2.VERSION:
            return JSONResponse(await _second(request, desk))
        limits, model = desk.engine.limits, desk.engine.default
        read = await desk.read(request, lambda body: latents_v1.read_request(body, limits, model))
        return JSONResponse(latents_v1.answer(read, await desk.scored(request, read.models[0], read.items)))


async def _second(request: Request, desk: Desk) -> dict[str, Any]:
    engine = desk.engine
    asked = await desk.read(request, lambda body: latents_v2.read_request(body, engine.limits))
    models = images.chosen_models(asked.header.model) or (engine.default,)
    for name in models:
        engine.model(name)
    if asked.header.prompts:
        await desk.recall(asked.header.prompts)
        with engine.shelf.holding(asked.header.prompts) as rows:
            return await answered(request, desk, asked.request(rows, models))
    if asked.header.texts:
        of_model, hashes = await _encoded(asked, models, desk)
        return told_of(await desk.of_all(request, of_model), tuple(asked.header.score), asked.told | hashes)
    assert asked.inline is not None
    return await answered(request, desk, asked.request(asked.inline, models))


async def _encoded(
    asked: latents_v2.Asked, models: Sequence[str], desk: Desk
) -> tuple[dict[str, Asked | Problem], dict[str, list[str]]]:
    """What each model is asked, its texts encoded as that model reads them, and the hashes of the first one's."""
    texts, found = asked.header.texts or [], dict[str, Asked | Problem]()
    hashes: dict[str, list[str]] = {}
    for name in models:
        try:
            rows = await desk.engine.encode(name, texts)
        except Problem as problem:
            found[name] = problem
            continue
        told = [row.conditioning for row in rows]
        found[name] = asked.request(told, (name,), [unread(row) for row in rows])
        if not hashes:
            hashes = {"prompts": await desk.keep_rows(told)}
    return found, hashes


def add_prompts(app: FastAPI, desk: Desk) -> None:
    """Add the routes of prompts that are kept by their hash."""

    @app.put("/v1/prompts/{name}", summary="Keep a prompt's conditioning by its hash", openapi_extra=BLOB)
    async def put(name: str, request: Request) -> JSONResponse:
        _check_hash(name)
        found, new = await desk.keep(request, name)
        return JSONResponse({"hash": found, "new": new}, 201 if new else 200)

    @app.head("/v1/prompts/{name}", summary="Whether a prompt is kept")
    async def head(name: str) -> Response:
        _check_hash(name)
        known = name in desk.engine.shelf or await desk.peers.known(name)
        return Response(status_code=200 if known else 404)


def _check_hash(name: str) -> None:
    digits = name.removeprefix(PREFIX)
    if not (name.startswith(PREFIX) and len(digits) == 64 and all(each in "0123456789abcdef" for each in digits)):
        raise bad_request("bad_hash", f"{name[:80]!r}; accepted: {PREFIX} and 64 hexadecimal digits")
