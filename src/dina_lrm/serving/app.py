"""The application: its routes, how errors are answered, and what stands around all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp

from dina_lrm import __version__
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.http.answering import answer_problems
from dina_lrm.serving.http.guard import Guard
from dina_lrm.serving.http.watching import Watch
from dina_lrm.serving.peers import Alone, Peers
from dina_lrm.serving.routes.desk import Desk
from dina_lrm.serving.routes.documents import completed, page
from dina_lrm.serving.routes.latents import add_latents, add_prompts
from dina_lrm.serving.routes.pickles import UnderPickles, add_pickles
from dina_lrm.serving.routes.pictures import add_pictures
from dina_lrm.serving.routes.standing import add_health
from dina_lrm.serving.routes.trainers import add_trainers

_WORTH_PACKING: Final = 2048
"""Bytes of an answer from which it is packed where the client reads gzip: those of a few scores are smaller."""


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
        docs_url=None,
        redoc_url=None,
    )
    app.state.desk = desk
    add_latents(app, desk)
    add_prompts(app, desk)
    add_pictures(app, desk)
    add_trainers(app, desk)
    add_health(app, desk)
    if pickles:
        add_pickles(app, desk)
    plain = app.openapi
    app.openapi = lambda: app.openapi_schema or completed(plain(), engine)  # type: ignore[method-assign]
    app.add_route("/docs", _docs(app, token is not None), include_in_schema=False)
    return _surrounded(app, desk, token)


def make_pickle_app(desk: Desk, token: str | None = None) -> ASGIApp:
    """The application of a port for pickles alone: at / the first model, at /MODEL another; all answers are pickles."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    add_pickles(app, desk)
    return UnderPickles(_surrounded(app, desk, token), desk.engine.default)


def _surrounded(app: FastAPI, desk: Desk, token: str | None) -> FastAPI:
    answer_problems(app)
    app.add_middleware(GZipMiddleware, minimum_size=_WORTH_PACKING, compresslevel=5)
    app.add_middleware(Watch, counts=desk)
    app.add_middleware(Guard, token=token)
    return app


def _docs(app: FastAPI, token: bool) -> Callable[[Request], Awaitable[Response]]:
    async def docs(request: Request) -> Response:
        policy = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
        return HTMLResponse(page(app.openapi(), str(request.base_url).rstrip("/"), token), headers=policy)

    return docs
