"""The models that a server has, by name, and how they score batches of items."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from dina_lrm.backbones.weight_bytes import weight_bytes
from dina_lrm.reward_model.kept_prompts import KeptPrompt
from dina_lrm.serving.batcher import Batcher, Scored
from dina_lrm.serving.items import Item, ItemScore, ModelScores
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, problem_of, unprocessable
from dina_lrm.serving.prompts import PromptShelf
from dina_lrm.serving.served import Loaded, Served
from dina_lrm.serving.settings import ModelLimits


class Engine:
    """Models by name with a batcher each, one thread that computes, and the prompts that are kept by hash.

    `most` and `wait` (seconds) are those of every batcher, but for models that have limits of their `own`.
    """

    def __init__(
        self,
        models: Sequence[Served],
        limits: Limits,
        *,
        most: int = 8,
        wait: float = 0.01,
        own: Mapping[str, ModelLimits] | None = None,
    ) -> None:
        self.models: Mapping[str, Served] = {model.name: model for model in models}
        self.limits, self.most, self.wait = limits, most, wait
        common = ModelLimits(most, 1000 * wait, limits.batch, limits.waiting_bytes, limits.deadline)
        self.own = {name: (own or {}).get(name, common) for name in self.models}
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
            score, own = self.model(name).score, self.own[name]
            self._batchers[name] = Batcher(
                score,
                self.compute,
                most=own.max_batch_size,
                wait=own.max_wait_ms / 1000,
                most_bytes=own.waiting_bytes,
            )
        return self._batchers[name]

    async def scores(self, name: str, items: Sequence[Item], spent: float = 0.0) -> ModelScores:
        """Score items by one model; each gets its score or the reason why it has none.

        `spent` are seconds of the deadline that have passed already.

        Raises:
            Problem: 404 for an unknown model, 413 for too many items, 429 where too much waits, 504 where the answer
                takes too long.
        """
        served, batcher, own = self.model(name), self.batcher(name), self.own[name]
        if len(items) > own.batch:
            raise Problem(413, "too_large", f"{len(items)} items; accepted by {name}: at most {own.batch}")
        tasks = [asyncio.ensure_future(self._one(served, batcher, item)) for item in items]
        try:
            async with asyncio.timeout(max(0.0, own.deadline - spent)):
                found = await asyncio.gather(*tasks)
        except TimeoutError as error:
            told = f"no answer within {own.deadline:g} s; {batcher.waiting} items wait"
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

    async def encode(self, name: str, texts: Sequence[str]) -> Sequence[KeptPrompt]:
        """Texts as a model reads them, made in the computing thread."""
        loop, model = asyncio.get_running_loop(), self.model(name)
        return await loop.run_in_executor(self.compute, model.encode, [*texts])

    def weight_bytes(self) -> int:
        """Bytes of the weights of all models, those of a generator that several read counted once."""
        loaded = [served for served in self.models.values() if isinstance(served, Loaded)]
        return weight_bytes(module for served in loaded for module in served.held())

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
            told = f"{served.name} gives {scored.value.raw}; accepted: values that a score can be made of"
            return unprocessable("not_finite", told)
        return scored
