"""The reward that a plug-in asks: a model of this process or a server, loaded once, asked in batches.

    scorer = shared_scorer(ScorerSettings("synthetic"))
    scorer.scores(items)              a thread waits for the scores of a list
    await scorer.ask(item)            a coroutine waits for one; those of all loops gather into batches

Whoever names the same model, device and dtype in a process gets the same scorer.
"""

from __future__ import annotations

import asyncio
import math
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final, final

import torch

from dina_lrm.integrations.gathered import Gathered
from dina_lrm.integrations.once import Once
from dina_lrm.integrations.policy import shared, sharing
from dina_lrm.integrations.remote import RemoteServed
from dina_lrm.integrations.worded import WordedItem
from dina_lrm.locate import absolute
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.names import is_reward, load_reward
from dina_lrm.rewards.remote import RemoteReward, RemoteRewardError
from dina_lrm.serving.batcher import Scored
from dina_lrm.serving.items import Item, ItemScore, LatentItem, unread
from dina_lrm.serving.latent import LatentServed
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.reward import PictureServed
from dina_lrm.serving.served import Served
from dina_lrm.typed import DinaError

Turn = AbstractContextManager[object]
Asked = Item | WordedItem
_DTYPES: Final = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16}


class ScoreWarning(UserWarning):
    """What a trainer hands over is read in another way than the model was trained with."""


@dataclass(frozen=True)
class ScorerSettings:
    """Which reward is asked, and how; equal settings share one in a process."""

    model: str = "synthetic"
    """A reward model ("synthetic", a folder, a hub id), remote:http://HOST:PORT, or a reward of pictures (clip)."""
    device: str = "auto"
    """Where a model computes: auto is the first there is of cuda, xpu, mps and cpu."""
    dtype: str = "auto"
    """What the generator's weights are held in: auto (the device's own), float32 or bfloat16."""
    max_batch: int = 16
    """Items that are scored at once, at most."""
    max_wait_ms: float = 10.0
    """Milliseconds that an item waits for others to share its batch."""

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise DinaError(f"model {self.model!r}; accepted: a folder, a hub id, synthetic, remote:http://HOST:PORT")
        if self.dtype not in _DTYPES:
            raise DinaError(f"dtype {self.dtype!r}; accepted: {', '.join(_DTYPES)}")
        if self.max_batch < 1 or not 0 <= self.max_wait_ms < math.inf:
            told = f"max_batch {self.max_batch}, max_wait_ms {self.max_wait_ms}"
            raise DinaError(f"{told}; accepted: at least 1, and 0 or more")


class NoScoreError(RuntimeError):
    """An item got no score that could be learned from."""


@final
class Scorer:
    """Asks a model for scores, from any thread and any event loop; never answers with anything but finite numbers.

    `turn` is a lock that scorers of one model share.
    """

    def __init__(
        self, served: Served, max_batch: int = 16, max_wait_ms: float = 10.0, turn: Turn | None = None
    ) -> None:
        self.served = served
        self._turn: Turn = Lock() if turn is None else turn
        self._gathered = Gathered[Asked, ItemScore](_in_turn(served, self._turn), max_batch, max_wait_ms / 1000)
        self._warned: set[str] = set()

    @property
    def name(self) -> str:
        """What the model is called."""
        return self.served.name

    @property
    def device(self) -> torch.device:
        """Where items wait for their batch: where the model computes."""
        return self.served.model.device if isinstance(self.served, LatentServed) else torch.device("cpu")

    @property
    def batches(self) -> int:
        """How many batches were begun."""
        return self._gathered.batches

    def notice(self, code: str, text: str) -> None:
        """Warn once of what is read in another way than one may expect."""
        if code not in self._warned:
            self._warned.add(code)
            warnings.warn(f"{self.name}: {text}", ScoreWarning, stacklevel=3)

    def scores(self, items: Sequence[Asked]) -> list[float]:
        """The raw scores of items, in order; the thread waits, and its items share batches with those of others.

        Raises:
            ValueError: for the first item that the model cannot score; it says which and why.
            NoScoreError: where a score is no finite number.
            RemoteRewardError: where a server gave no answer.
        """
        waiting: list[Future[float]] = []
        try:
            waiting.extend(self.put(item, f"item {number}: ") for number, item in enumerate(items))
            return [each.result() for each in waiting]
        finally:
            for each in waiting:
                each.cancel()

    async def ask(self, item: Asked) -> float:
        """The raw score of one item; other coroutines go on meanwhile. Raises as `scores` does."""
        return await asyncio.wrap_future(self.put(item))

    def put(self, item: Asked, place: str = "") -> Future[float]:
        """The future of an item's raw score; `place` says in an error which item it was."""
        answer: Future[float] = Future()
        try:
            asked = self._placed(item)
            self._check(asked)
        except Exception as error:
            answer.set_exception(self._told(error, place))
            return answer
        found = self._gathered.put(asked.key, asked)
        answer.add_done_callback(lambda done: found.cancel() if done.cancelled() else None)
        found.add_done_callback(lambda done: self._pass_on(done, answer, place))
        return answer

    def _pass_on(self, found: Future[Scored[ItemScore]], answer: Future[float], place: str) -> None:
        if found.cancelled() or not answer.set_running_or_notify_cancel():
            answer.cancel()
            return
        try:
            answer.set_result(self._value(found.result().value))
        except Exception as error:
            answer.set_exception(self._told(error, place))

    def _value(self, score: ItemScore) -> float:
        for code, text in score.warnings:
            self.notice(code, text)
        if not math.isfinite(score.raw):
            raise NoScoreError(f"the score is {score.raw}; accepted: finite numbers")
        return score.raw

    def _told(self, error: Exception, place: str) -> Exception:
        """The error with the model and the item; what is neither bad input nor a bad score stays as it is."""
        told, found = f"{self.name}: {place}{error}", error
        if isinstance(error, RemoteRewardError):  # which says the server's address itself
            found = RemoteRewardError(f"{place}{error}", error.status, error.code, error.details)
        elif isinstance(error, Problem | ValueError):
            found = DinaError(told)
        elif isinstance(error, NoScoreError):
            found = NoScoreError(told)
        if found is not error:
            found.__cause__ = error
        return found

    def _check(self, item: Asked) -> None:
        """Raise for what the model cannot read; the words of a prompt are seen when it is encoded, in its batch."""
        if isinstance(self.served, RemoteServed):
            self.served.check(item)
        elif not isinstance(item, WordedItem):
            self.served.check(item)

    def _placed(self, item: Asked) -> Asked:
        """The item where the model computes: tensors of one batch lie together."""
        if isinstance(item, WordedItem):
            return replace(item, latents=item.latents.to(self.device))
        if not isinstance(item, LatentItem):
            return item
        return replace(item, latents=item.latents.to(self.device), conditioning=item.conditioning.to(self.device))


def _in_turn(served: Served, turn: Turn) -> Callable[[Sequence[Asked]], Sequence[ItemScore]]:
    """Scores of batches by a model, one at a time; it holds no scorer, so that one may go that nobody asks any more."""

    def score(items: Sequence[Asked]) -> Sequence[ItemScore]:
        with turn:
            if isinstance(served, RemoteServed):
                return served.score(items)
            worded = [item for item in items if isinstance(item, WordedItem)]
            if worded:  # a batch is of one kind
                return _worded(served, worded)
            return served.score([item for item in items if not isinstance(item, WordedItem)])

    return score


def _worded(served: Served, items: Sequence[WordedItem]) -> Sequence[ItemScore]:
    told = served.encode([item.prompt for item in items])
    asked = [replace(item.told(row.conditioning), noticed=unread(row)) for item, row in zip(items, told, strict=True)]
    for item in asked:
        served.check(item)
    return served.score(asked)


def shared_scorer(settings: ScorerSettings) -> Scorer:
    """The scorer of these settings in this process, loaded at its first use; whoever comes meanwhile waits.

    Scorers of one model, device and dtype share it. What failed is tried again by the next call.

    Raises:
        ValueError: for what is no reward, or one that neither reads latents nor pictures.
        RemoteRewardError: for a server that is not ready.
    """
    settings, host = _key(settings)
    return _SCORERS.get((settings, host), lambda: _scorer(settings, host))


async def shared_scorer_soon(settings: ScorerSettings) -> Scorer:
    """`shared_scorer` for a coroutine: others go on while a model is loaded."""
    found = _SCORERS.known(_key(settings))
    return found if found is not None else await asyncio.to_thread(shared_scorer, settings)


def _key(settings: ScorerSettings) -> tuple[ScorerSettings, int]:
    """With the pipeline whose weights are shared, which has scorers of its own."""
    return replace(settings, model=absolute(settings.model)), id(shared())


def _scorer(settings: ScorerSettings, host: int) -> Scorer:
    key = (settings.model, settings.device, settings.dtype)
    served, turn = _MODELS.get((*key, host), lambda: (_load(*key), Lock()))
    return Scorer(served, settings.max_batch, settings.max_wait_ms, turn)


def _load(model: str, device: str, dtype: str) -> Served:
    if not is_reward(model):
        name, pipeline = model.removeprefix("latent:"), shared()
        if pipeline is not None:
            return LatentServed(model, sharing(name, pipeline))
        return LatentServed(model, LatentRewardModel.from_pretrained(name, device=device, dtype=_DTYPES[dtype]))
    reward = load_reward(model)
    if isinstance(reward, RemoteReward):
        return RemoteServed(reward)
    if reward.kind != "pixel":
        raise DinaError(f"model {model!r}; accepted: a latent reward model, remote:http://HOST:PORT, pictures' rewards")
    return PictureServed(model, reward)


_MODELS: Final[Once[tuple[str, str, str, int], tuple[Served, Turn]]] = Once()
_SCORERS: Final[Once[tuple[ScorerSettings, int], Scorer]] = Once()
