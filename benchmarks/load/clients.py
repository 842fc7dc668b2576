"""Clients that ask at once, from one event loop or several, and what came of each question."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np

from benchmarks.load.questions import Question

SECONDS = 120.0
"""A request that takes longer has hung: the time-out of verl-omni's client."""
TOLERANCE = 1e-4
_NO_TIMES = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Answer:
    """What came of one question: its place in the list, and `seconds` from asking until the whole answer was here."""

    number: int
    status: int
    seconds: float
    queue_seconds: float
    compute_seconds: float
    off: float
    """The largest difference from the right scores; infinite where there are none."""
    told: str = ""


@dataclass(frozen=True)
class Load:
    """All answers of a run, and how long it took."""

    answers: tuple[Answer, ...]
    seconds: float
    asked: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.answers) / self.seconds

    @property
    def wrong(self) -> list[Answer]:
        """Answers that are none, or whose scores are not the right ones to 1e-4."""
        return [answer for answer in self.answers if not answer.off <= TOLERANCE]

    @property
    def once(self) -> bool:
        """Whether each question has exactly one answer."""
        return sorted(answer.number for answer in self.answers) == [*range(self.asked)]

    def percentiles(self, name: str) -> dict[str, float]:
        """The p50, p95 and p99 of a field of the answers, and its largest, in milliseconds; of those that have it."""
        values = 1000 * np.array([getattr(answer, name) for answer in self.answers])
        found = {f"p{part}": float(np.nanpercentile(values, part)) for part in (50, 95, 99)}
        return {**found, "max": float(np.nanmax(values))}

    def summary(self) -> dict[str, Any]:
        """The facts of a run, as plain values."""
        return {
            "requests": self.asked,
            "answered_once": self.once,
            "wrong": len(self.wrong),
            "largest_difference": max(answer.off for answer in self.answers),
            "requests_per_second": self.rate,
            "latency_ms": self.percentiles("seconds"),
            "queue_ms": self.percentiles("queue_seconds"),
            "compute_ms": self.percentiles("compute_seconds"),
        }


def ask_all(
    address: str,
    questions: Sequence[Question],
    *,
    loops: int = 1,
    at_once: int = 1 << 20,
    told: Callable[[int], None] = lambda _: None,
) -> Load:
    """Ask every question once, from so many event loops, each with at most `at_once` under way.

    A loop has a session of aiohttp with its 100 connections, as verl-omni's client has; the wait for one counts. What
    fails is an answer that says so. `told` hears how many are answered.
    """
    numbered = [*enumerate(questions)]
    start, done = threading.Barrier(loops + 1), _Count(told)
    with ThreadPoolExecutor(loops) as threads:
        work = [
            threads.submit(lambda part=part: asyncio.run(_loop(address, part, at_once, start, done)))
            for part in (numbered[first::loops] for first in range(loops))
        ]
        start.wait(30)
        begun = time.perf_counter()
        answers = [answer for each in work for answer in each.result()]
        seconds = time.perf_counter() - begun
    return Load(tuple(answers), seconds, len(questions))


class _Count:
    def __init__(self, told: Callable[[int], None]) -> None:
        self._told, self._lock, self._count = told, threading.Lock(), 0

    def one(self) -> None:
        with self._lock:
            self._count += 1
            self._told(self._count)


async def _loop(
    address: str, questions: Sequence[tuple[int, Question]], at_once: int, start: threading.Barrier, done: _Count
) -> list[Answer]:
    gate = asyncio.Semaphore(at_once)
    async with aiohttp.ClientSession(address, timeout=aiohttp.ClientTimeout(total=SECONDS)) as session:
        await asyncio.get_running_loop().run_in_executor(None, start.wait, 30)

        async def one(number: int, question: Question) -> Answer:
            async with gate:
                answer = await _asked(session, number, question)
            done.one()
            return answer

        return await asyncio.gather(*(one(number, question) for number, question in questions))


async def _asked(session: aiohttp.ClientSession, number: int, question: Question) -> Answer:
    begun = time.perf_counter()
    try:
        status, headers, body = await _post(session, question)
        if status == 409 and question.prompts:
            for name, blob in question.prompts.items():
                async with session.put(f"/v1/prompts/{name}", data=blob) as put:
                    await put.read()
            status, headers, body = await _post(session, question)
    except (aiohttp.ClientError, TimeoutError) as error:
        return Answer(
            number, 0, time.perf_counter() - begun, *_NO_TIMES, float("inf"), f"{type(error).__name__}: {error}"
        )
    seconds = time.perf_counter() - begun
    if status != 200:
        return Answer(number, status, seconds, *_NO_TIMES, float("inf"), str(body)[:300])
    found, wanted = question.scores(body), question.wanted
    same = len(found) == len(wanted)
    off = max(abs(a - b) for a, b in zip(found, wanted, strict=True)) if same else float("inf")
    return Answer(number, status, seconds, *_times(headers), off)


async def _post(session: aiohttp.ClientSession, question: Question) -> tuple[int, str, dict[str, Any]]:
    async with session.post(question.path, data=question.body, headers=question.headers) as response:
        return response.status, response.headers.get("server-timing", ""), await response.json()


def _times(timing: str) -> tuple[float, float]:
    """The milliseconds of "queue;dur=12.3, compute;dur=40" in seconds."""
    named = dict(part.strip().split(";dur=") for part in timing.split(",") if ";dur=" in part)
    return float(named.get("queue", "nan")) / 1000, float(named.get("compute", "nan")) / 1000
