"""What all routes share: the engine, the counts, the other replicas, and whether requests are still taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from fastapi import Request

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.http.bodies import Intake, read_bytes
from dina_lrm.serving.http.watching import gone, seconds_since, took
from dina_lrm.serving.items import ModelScores
from dina_lrm.serving.items import Request as Asked
from dina_lrm.serving.metrics import Metrics
from dina_lrm.serving.peers import Alone, Peers
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.protocols import latents_v2
from dina_lrm.serving.served import Served

Found = TypeVar("Found")
VERSIONS: Final = ("1", "2")
"""The protocols of latents."""
CLIENT_LEFT: Final = 499
"""The status of a request whose client went away, which nobody reads."""


class Desk:
    """What all routes share: the engine, the counts, the other replicas, and whether requests are still taken."""

    def __init__(self, engine: Engine, peers: Peers) -> None:
        self.engine, self.metrics, self.peers = engine, Metrics(), peers
        self.intake = Intake(engine.limits.waiting_bytes)
        self.draining = False
        self.busy = 0
        """Requests that are being answered."""
        self._recalling = asyncio.Lock()

    async def _body(self, request: Request, more: Callable[[int], None]) -> bytes:
        """The bytes of a request, within the limits."""
        if self.draining:
            raise Problem(503, "draining", "the server is ending; ask another", retry_after=1)
        length = request.headers.get("content-length", "")
        declared = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None
        encoding = request.headers.get("content-encoding", "")
        return await read_bytes(request.stream(), encoding, declared, self.engine.limits, more)

    async def prepared(self, read: Callable[[], Found]) -> Found:
        """What a protocol makes of a body, made outside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.engine.prepare, read)

    async def read(self, request: Request, read: Callable[[bytes], Found]) -> Found:
        """What a protocol makes of a request's body, which is let go before anything waits for a model."""
        with self.intake.taking() as more:
            return await self.prepared(partial(read, await self._body(request, more)))

    async def keep(self, request: Request, name: str) -> tuple[str, bool]:
        """Keep the prompt of a request by its hash, here and for other replicas; its hash, and whether it is new."""
        with self.intake.taking() as more:
            body = await self._body(request, more)
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
        work = asyncio.ensure_future(self.engine.scores(name, items, seconds_since(request.scope)))
        watch = asyncio.ensure_future(gone(request))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise Problem(CLIENT_LEFT, "client_left", "the client went away")
            found = work.result()
        finally:
            work.cancel()
            watch.cancel()
        self.metrics.scored(name, len(items), found.queue_ms / 1000)
        took(request.scope, found)
        return found

    async def of_all(self, request: Request, asked: Mapping[str, Asked | Problem]) -> list[tuple[Served, ModelScores]]:
        """Scores by each model of what it is asked; one of several that cannot score has its reason in their place."""
        found = []
        for name, own in asked.items():
            served = self.engine.model(name)
            try:
                if isinstance(own, Problem):
                    raise own
                if "z" in own.kinds:
                    served.z(0.0)  # refused before it waits, where the model has no statistics
                scores = await self.scored(request, name, own.items)
            except Problem as problem:
                if len(asked) == 1 or problem.status == CLIENT_LEFT:
                    raise
                scores = ModelScores(name, (problem,))
            found.append((served, scores))
        return found
