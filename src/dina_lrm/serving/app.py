"""The routes of the server: each reads bytes by its protocol, asks the engine, and answers by its protocol."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from typing import Any, Final, TypeVar

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse

from dina_lrm import __version__
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import PREFIX
from dina_lrm.runs.processes import resident_bytes
from dina_lrm.serving.bodies import read_bytes
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.guard import Guard
from dina_lrm.serving.http.examples import with_examples
from dina_lrm.serving.items import ModelScores, ScoreKind, unread
from dina_lrm.serving.items import Request as Asked
from dina_lrm.serving.metrics import Metrics
from dina_lrm.serving.packing import ENCODINGS
from dina_lrm.serving.peers import Alone, Peers
from dina_lrm.serving.problems import Problem, bad_request, problem_of
from dina_lrm.serving.protocols import flow_factory, images, latents_v1, latents_v2, pickled, unirl
from dina_lrm.serving.protocols.parts import is_multipart, read_parts
from dina_lrm.serving.refusals import refusal
from dina_lrm.serving.served import Served
from dina_lrm.serving.watching import Watch, gone, took

Found = TypeVar("Found")
VERSION_HEADER: Final = "x-drm-protocol-version"
VERSIONS: Final = "1, 2"
_WORTH_PACKING: Final = 2048
"""Bytes of an answer from which it is packed where the client reads gzip: those of a few scores are smaller."""
_BYTES: Final = {"type": "string", "format": "binary"}
_BLOB: Final = {"requestBody": {"content": {"application/octet-stream": {"schema": _BYTES}}}}


class Desk:
    """What all routes share: the engine, the counts, the other replicas, and whether requests are still taken."""

    def __init__(self, engine: Engine, peers: Peers) -> None:
        self.engine, self.metrics, self.peers = engine, Metrics(), peers
        self.draining = False
        self.busy = 0
        """Requests that are being answered."""
        self._recalling = asyncio.Lock()

    async def body(self, request: Request) -> bytes:
        """The bytes of a request, within the limits."""
        if self.draining:
            raise Problem(503, "draining", "the server is ending; ask another", retry_after=1)
        length = request.headers.get("content-length", "")
        declared = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None
        encoding = request.headers.get("content-encoding", "")
        return await read_bytes(request.stream(), encoding, declared, self.engine.limits)

    async def prepared(self, read: Callable[[], Found]) -> Found:
        """What a protocol makes of a body, made outside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.engine.prepare, read)

    async def read(self, request: Request, read: Callable[[bytes], Found]) -> Found:
        """What a protocol makes of a request's body, which is let go before anything waits for a model."""
        body = await self.body(request)
        return await self.prepared(partial(read, body))

    async def keep(self, name: str, body: bytes) -> tuple[str, bool]:
        """Keep a prompt by its hash, here and for the other replicas; its hash, and whether it is new here."""
        found = await self.prepared(lambda: self._shelve(name, body))
        await self.peers.keep(name, body)
        return found

    async def keep_rows(self, rows: Sequence[Conditioning]) -> list[str]:
        """Keep prompts that the server encoded itself; their hashes."""
        names = await self.prepared(lambda: [self.engine.shelf.put(row)[0] for row in rows])
        if not isinstance(self.peers, Alone):
            for name, row in zip(names, rows, strict=True):
                await self.peers.keep(name, await self.prepared(partial(latents_v2.prompt_body, row)))
        return names

    async def recall(self, names: Sequence[str]) -> None:
        """Fetch the prompts that only other replicas were given: once, however many requests wait for one."""
        if all(name in self.engine.shelf for name in names):
            return
        async with self._recalling:
            for name in dict.fromkeys(names):
                body = None if name in self.engine.shelf else await self.peers.recall(name)
                if body is not None:
                    await self.prepared(partial(self._shelve, name, body))

    def _shelve(self, name: str, body: bytes) -> tuple[str, bool]:
        return self.engine.shelf.put(latents_v2.read_prompt(body, self.engine.limits), name)

    def counts(self) -> str:
        """Counts and times of this process, for Prometheus."""
        batchers = [self.engine.batcher(name) for name in self.engine.models]
        now = {
            "waiting_items": sum(each.waiting for each in batchers),
            "waiting_bytes": sum(each.waiting_bytes for each in batchers),
            "batches_total": sum(each.batches for each in batchers),
            "prompt_store_bytes": self.engine.shelf.bytes,
        }
        return self.metrics.text(now)

    async def scored(self, request: Request, name: str, items: Sequence[Any]) -> ModelScores:
        """Scores of items, ended when the client goes away."""
        work = asyncio.ensure_future(self.engine.scores(name, items))
        watch = asyncio.ensure_future(gone(request))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise Problem(499, "client_left", "the client went away")
            found = work.result()
        finally:
            work.cancel()
            watch.cancel()
        self.metrics.scored(name, len(items), found.queue_ms / 1000)
        took(request.scope, found)
        return found

    async def of_all(self, request: Request, asked: Mapping[str, Asked | Problem]) -> list[tuple[Served, ModelScores]]:
        """Scores by each model of what it is asked; one that cannot score gives its reason for every item."""
        found = []
        for name, own in asked.items():
            served = self.engine.model(name)
            scores = (
                ModelScores(name, (own,)) if isinstance(own, Problem) else await self.scored(request, name, own.items)
            )
            found.append((served, scores))
        return found


def make_app(engine: Engine, *, token: str | None = None, pickles: bool = False, peers: Peers | None = None) -> FastAPI:
    """The application over an engine; `token` is asked for on every route, `pickles` opens /v1/pickle/MODEL.

    `peers` are the other replicas of the same server, where there are any.
    """
    desk = Desk(engine, peers or Alone())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.close()

    app = FastAPI(
        title="DiNa-LRM",
        version=__version__,
        description="Scores of latents and pictures by reward models that live in a generator's latent space.",
        lifespan=lifespan,
    )
    app.state.desk = desk
    _add_latents(app, desk)
    _add_prompts(app, desk)
    _add_pictures(app, desk)
    _add_trainers(app, desk)
    _add_health(app, desk)
    if pickles:
        _add_pickles(app, desk)
    plain = app.openapi
    app.openapi = lambda: app.openapi_schema or with_examples(plain(), engine)  # type: ignore[method-assign]
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(GZipMiddleware, minimum_size=_WORTH_PACKING, compresslevel=5)
    app.add_middleware(Watch, counts=desk)
    app.add_middleware(Guard, token=token)
    return app


def _add_latents(app: FastAPI, desk: Desk) -> None:
    @app.post("/v1/score", summary="Score latents (protocols 1 and 2)", openapi_extra=_BLOB)
    async def score(request: Request) -> Response:
        protocol = request.headers.get(VERSION_HEADER, latents_v1.VERSION)
        if protocol not in (latents_v1.VERSION, latents_v2.VERSION):
            told = Problem(400, "unknown_protocol", f"{VERSION_HEADER} {protocol[:20]!r}; accepted: {VERSIONS}")
            return refusal(told, request.scope["path"], {f"{VERSION_HEADER}s": VERSIONS})
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
            return await _answer_second(request, desk, asked.request(rows, models))
    if asked.header.texts:
        of_model, hashes = await _encoded(asked, models, desk)
        return _said_second(await desk.of_all(request, of_model), tuple(asked.header.score), asked.told | hashes)
    assert asked.inline is not None
    return await _answer_second(request, desk, asked.request(asked.inline, models))


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


async def _answer_second(request: Request, desk: Desk, asked: Asked) -> dict[str, Any]:
    found = await desk.of_all(request, dict.fromkeys(asked.models, asked))
    return _said_second(found, asked.kinds, asked.told)


def _said_second(
    found: list[tuple[Served, ModelScores]], kinds: tuple[ScoreKind, ...], told: dict[str, Any]
) -> dict[str, Any]:
    answer = latents_v2.answer(found, kinds, told)
    if len(found) == 1 and "error" in (only := answer["results"][found[0][0].name]):
        raise Problem(only["status"], only["error"]["code"], only["error"]["message"])
    return answer


def _add_prompts(app: FastAPI, desk: Desk) -> None:
    @app.put("/v1/prompts/{name}", summary="Keep a prompt's conditioning by its hash", openapi_extra=_BLOB)
    async def put(name: str, request: Request) -> JSONResponse:
        _check_hash(name)
        body = await desk.body(request)
        found, new = await desk.keep(name, body)
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


def _json_body(kind: type[Any], multipart: bool = False) -> dict[str, Any]:
    content = {"application/json": {"schema": kind.model_json_schema()}}
    if multipart:
        parts = {
            "request": {"type": "string"},
            "image": {"type": "array", "items": _BYTES},
        }
        content["multipart/form-data"] = {"schema": {"type": "object", "properties": parts}}
    return {"requestBody": {"content": content, "required": True}}


def _add_pictures(app: FastAPI, desk: Desk) -> None:
    async def read(request: Request, kind: type[images.ImagesBody]) -> Asked:
        body, files = await _parts(request, desk)
        models = (desk.engine.default,)
        return await desk.prepared(lambda: images.read_request(kind, body, files, desk.engine.limits, models))

    @app.post("/v1/score/images", summary="Score pictures", openapi_extra=_json_body(images.ImagesBody, True))
    async def score(request: Request) -> JSONResponse:
        return JSONResponse(await _answer_second(request, desk, await read(request, images.ImagesBody)))

    @app.post("/v1/compare", summary="Compare pictures", openapi_extra=_json_body(images.CompareBody, True))
    async def compare(request: Request) -> JSONResponse:
        asked = await read(request, images.CompareBody)
        if len(asked.models) != 1:
            raise bad_request("bad_request", f"{len(asked.models)} models; accepted: one")
        served = desk.engine.model(asked.models[0])
        return JSONResponse(images.compared(served, asked, await desk.scored(request, served.name, asked.items)))


async def _parts(request: Request, desk: Desk) -> tuple[bytes, list[bytes] | None]:
    """The JSON of a request, and the files beside it where it is multipart."""
    body = await desk.body(request)
    kind = request.headers.get("content-type", "")
    if not is_multipart(kind):
        return body, None
    return await desk.prepared(lambda: read_parts(body, kind, desk.engine.limits))


def _add_trainers(app: FastAPI, desk: Desk) -> None:
    @app.post("/compute", summary="Rewards for Flow-Factory", openapi_extra=_json_body(flow_factory.ComputeBody))
    async def compute(request: Request) -> JSONResponse:
        body = await desk.body(request)
        asked = await desk.prepared(lambda: flow_factory.read_request(body, desk.engine.limits, desk.engine.default))
        return JSONResponse(flow_factory.answer(await desk.scored(request, asked.models[0], asked.items)))

    @app.post("/score", summary="Rewards for UniRL", openapi_extra=_json_body(unirl.ScoreBody))
    async def score(request: Request) -> JSONResponse:
        body = await desk.body(request)
        asked = await desk.prepared(lambda: unirl.read_request(body, desk.engine.limits, desk.engine.models))
        found = {}
        for name, rows in unirl.by_reward(asked).items():
            scores = await desk.scored(request, name, [item for _, item in rows]) if rows else ModelScores(name, ())
            found[name] = (desk.engine.model(name), unirl.kept(scores, [row for row, _ in rows]))
        return JSONResponse(unirl.answer(asked, found))

    @app.get("/rewards", summary="The rewards, for UniRL")
    async def rewards() -> dict[str, list[str]]:
        return {"rewards": [*desk.engine.models]}


def _add_health(app: FastAPI, desk: Desk) -> None:
    def standing(**more: Any) -> JSONResponse:  # noqa: ANN401 - any JSON value
        status, code = ("draining", 503) if desk.draining else ("ok", 200)
        return JSONResponse({"status": status, **more}, code)

    @app.get("/health", summary="For UniRL and Flow-Factory")
    async def health() -> JSONResponse:
        return standing(rewards={name: ["ready"] for name in desk.engine.models})

    @app.get("/healthz", summary="Whether the server is there")
    async def healthz() -> JSONResponse:
        return standing()

    @app.get("/readyz", summary="Whether requests are taken")
    async def readyz() -> JSONResponse:
        return standing()

    @app.get("/info", summary="Models, limits, versions")
    async def info() -> dict[str, Any]:
        engine = desk.engine
        versions = {name: version(name) for name in ("torch", "diffusers", "transformers")}
        return {
            "models": {name: served.info() for name, served in engine.models.items()},
            "protocols": VERSIONS.split(", "),
            "encodings": [*ENCODINGS],
            "limits": asdict(engine.limits),
            "max_batch_size": engine.most,
            "max_wait_ms": 1000 * engine.wait,
            "default_model": engine.default,
            "own_limits": {name: asdict(own) for name, own in engine.own.items()},
            "memory": {"weight_bytes": engine.weight_bytes(), "resident_bytes": resident_bytes()},
            "absent_seeds": "noise of its own for each item, told in the answer",
            "prompt_store": {
                "bytes": engine.shelf.bytes,
                "most_bytes": engine.shelf.most_bytes,
                "prompts": len(engine.shelf),
            },
            "versions": {"dina_lrm": __version__, "python": platform.python_version(), **versions},
        }

    @app.get("/metrics", summary="Counts and times for Prometheus")
    async def metrics() -> Response:
        return Response(await desk.peers.metrics(desk.counts()), media_type="text/plain; version=0.0.4")


def _add_pickles(app: FastAPI, desk: Desk) -> None:
    @app.post("/v1/pickle/{name}", summary="Pictures in a pickle of plain values, never unpickled", openapi_extra=_BLOB)
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


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return refusal(error, request.scope["path"])


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "unknown_route", 405: "unknown_method"}.get(error.status_code, "bad_request")
    return refusal(Problem(error.status_code, code, str(error.detail)), request.scope["path"])


async def _failed(request: Request, error: Exception) -> Response:
    return refusal(Problem(500, "failed", f"{type(error).__name__}"), request.scope["path"])
