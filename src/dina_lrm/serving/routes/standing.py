"""The routes that say how the server is, and what it is."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Response
from starlette.responses import JSONResponse

from dina_lrm import __version__
from dina_lrm.runs.processes import resident_bytes
from dina_lrm.serving.http.packing import ENCODINGS
from dina_lrm.serving.routes.desk import VERSIONS, Desk


def add_health(app: FastAPI, desk: Desk) -> None:
    """Add the routes that ask nothing of a model."""

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
            "protocols": [*VERSIONS],
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
