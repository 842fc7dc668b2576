"""The routes of trainers that send pictures in formats of their own."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse

from dina_lrm.serving.items import ModelScores
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.protocols import flow_factory, unirl
from dina_lrm.serving.routes.desk import Desk
from dina_lrm.serving.routes.documents import json_body


def add_trainers(app: FastAPI, desk: Desk) -> None:
    """Add the routes of Flow-Factory and UniRL."""

    @app.post("/compute", summary="Rewards for Flow-Factory", openapi_extra=json_body(flow_factory.ComputeBody))
    async def compute(request: Request) -> JSONResponse:
        limits, model = desk.engine.limits, desk.engine.default
        try:
            asked = await desk.read(request, lambda body: flow_factory.read_request(body, limits, model))
            return JSONResponse(flow_factory.answer(await desk.scored(request, model, asked.items)))
        except Problem as problem:
            return JSONResponse(flow_factory.answer_error(problem))

    @app.post("/score", summary="Rewards for UniRL", openapi_extra=json_body(unirl.ScoreBody))
    async def score(request: Request) -> JSONResponse:
        limits, models = desk.engine.limits, desk.engine.models
        asked = await desk.read(request, lambda body: unirl.read_request(body, limits, models))
        found = {}
        for name, rows in unirl.by_reward(asked).items():
            scores = await desk.scored(request, name, [item for _, item in rows]) if rows else ModelScores(name, ())
            found[name] = (desk.engine.model(name), unirl.kept(scores, [row for row, _ in rows]))
        return JSONResponse(unirl.answer(asked, found))

    @app.get("/rewards", summary="The rewards, for UniRL")
    async def rewards() -> dict[str, list[str]]:
        return {"rewards": [*desk.engine.models]}
