"""The models that a server has, by name, and how they score batches of items."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import rows_of
from dina_lrm.serving.batcher import Batcher, Scored
from dina_lrm.serving.items import Item, ItemScore, ModelScores
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, problem_of
from dina_lrm.serving.prompts import PromptShelf
from dina_lrm.serving.served import Served


class Engine:
    """Models by name with a batcher each, one thread that computes, and the prompts that are kept by hash.

    `most` and `wait` (seconds) are those of every batcher.
    """

    def __init__(self, models: Sequence[Served], limits: Limits, *, most: int = 8, wait: float = 0.01) -> None:
        self.models: Mapping[str, Served] = {model.name: model for model in models}
        self.limits, self.most, self.wait = limits, most, wait
        self.shelf = PromptShelf(limits.prompt_store_bytes)
        self.compute = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compute")
        self.prepare = ThreadPoolExecutor(max_workers=2, thread_name_prefix="prepare")
        self._batchers: dict[str, Batcher[Item, ItemScore]] = {}

    @property
    def default(self) -> str:
        """The first model: the one that a request without a name means."""
        return next(iter(self.models))

    def model(self, name: str) -> Served:
        """The model of a name. Problem 404 for another."""
        if name not in self.models:
            known = ", ".join(self.models)
            raise Problem(404, "unknown_model", f"no model {name[:80]!r}; accepted: {known}")
        return self.models[name]

    def batcher(self, name: str) -> Batcher[Item, ItemScore]:
        """The batcher of a model, made at its first use inside the event loop."""
        if name not in self._batchers:
            score = self.model(name).score
            most_bytes = self.limits.waiting_bytes
            self._batchers[name] = Batcher(score, self.compute, most=self.most, wait=self.wait, most_bytes=most_bytes)
        return self._batchers[name]

    async def scores(self, name: str, items: Sequence[Item]) -> ModelScores:
        """Score items by one model; each gets its score or the reason why it has none.

        Raises:
            Problem: 404 for an unknown model, 429 where too much waits, 504 where the answer takes too long.
        """
        served, batcher = self.model(name), self.batcher(name)
        tasks = [asyncio.ensure_future(self._one(served, batcher, item)) for item in items]
        try:
            async with asyncio.timeout(self.limits.deadline):
                found = await asyncio.gather(*tasks)
        except TimeoutError as error:
            told = f"no answer within {self.limits.deadline:g} s; {batcher.waiting} items wait"
            raise Problem(504, "deadline", told) from error
        finally:
            for task in tasks:
                task.cancel()
        overfull = next((each for each in found if isinstance(each, Problem) and each.status == 429), None)
        if overfull is not None:
            raise overfull
        done = [each for each in found if isinstance(each, Scored)]
        return ModelScores(
            name,
            tuple(each.value if isinstance(each, Scored) else each for each in found),
            max((each.queue_ms for each in done), default=0.0),
            max((each.compute_ms for each in done), default=0.0),
        )

    async def encode(self, name: str, texts: Sequence[str]) -> list[Conditioning]:
        """The conditioning of each text, one row each, made in the computing thread."""
        loop, model = asyncio.get_running_loop(), self.model(name)
        return rows_of(await loop.run_in_executor(self.compute, model.encode, [*texts]))

    async def close(self) -> None:
        """End the batchers and the threads."""
        for batcher in self._batchers.values():
            await batcher.close()
        self.compute.shutdown(cancel_futures=True)
        self.prepare.shutdown(cancel_futures=True)

    async def _one(self, served: Served, batcher: Batcher[Item, ItemScore], item: Item) -> Scored[ItemScore] | Problem:
        try:
            served.check(item)
            scored = await batcher.submit(item.key, item, item.size)
        except Exception as error:
            return problem_of(error)
        if not math.isfinite(scored.value.raw):
            return Problem(500, "not_finite", f"the score is {scored.value.raw}")
        return scored
