"""Clients that go on asking while a process is killed: what is lost, what was asked again, how long it took."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import httpx
import psutil
import torch
from safetensors.torch import save
from torch import Tensor

from benchmarks.load.server import PROGRAM
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import rows_of
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.remote import RemoteReward

LEVEL = 0.4
REPLICA = "ray::ServeReplica:dina-lrm:Replica"
"""How Ray calls the process of a replica, and behind it what it is doing."""


@dataclass(frozen=True, eq=False)
class Question:
    """One latent, its prompt, the seed of its noise, and the score that the model gives in this process."""

    latents: Tensor
    prompt: Conditioning
    seed: int
    wanted: float


def questions(model: LatentRewardModel, count: int, prompts: Sequence[str]) -> list[Question]:
    """Latents drawn from a fixed seed, with the prompts in turn."""
    rows = rows_of(model.encode_prompts(list(prompts)))
    draw = torch.Generator().manual_seed(7)
    latents = torch.randn(count, 16, 8, 8, generator=draw) * 0.8
    noise = torch.stack([seeded_noise(latents.shape[1:], seed) for seed in range(count)])
    wanted = []
    for begin in range(0, count, 50):
        part = slice(begin, begin + 50)
        level = torch.full((len(latents[part]),), LEVEL)
        told = Conditioning.cat([rows[number % len(rows)] for number in range(count)[part]])
        with torch.no_grad():
            read = model.process.add_noise(latents[part], noise[part], level)
            wanted += model.score_noisy(read, level, told).tolist()
    return [Question(latents[n : n + 1], rows[n % len(rows)], n, wanted[n]) for n in range(count)]


class Client(Protocol):
    """Asks one question at a time."""

    def ask(self, question: Question) -> tuple[float, bool]:
        """The score, and whether it was asked more than once. Raises where there is none in the end."""


class OwnClient:
    """The reward `remote:` of this project."""

    def __init__(self, address: str, *, retries: int = RemoteReward.retries, backoff: float = 0.5) -> None:
        self._reward = RemoteReward(address, LEVEL, retries=retries, backoff=backoff)

    def ask(self, question: Question) -> tuple[float, bool]:
        """Protocol 2, prompts by their hash."""
        before = self._reward.traffic.retries
        found = float(self._reward.score(question.latents, question.prompt, question.seed))
        return found, self._reward.traffic.retries > before


class ThreeTries:
    """A client as trainers bring it: protocol 1, any other status than 200 asked again after 0.5 and 1 s."""

    def __init__(self, address: str, tries: int = 3) -> None:
        self._http = httpx.Client(base_url=address, timeout=120)
        self._tries = tries

    def ask(self, question: Question) -> tuple[float, bool]:
        """Protocol 1, one item."""
        told = question.prompt
        assert told.pooled_prompt_embeds is not None
        body = {"latents": question.latents, "prompt_embeds": told.prompt_embeds}
        body |= {"pooled_prompt_embeds": told.pooled_prompt_embeds, "u": torch.tensor([LEVEL])}
        blob = save({**body, "seeds": torch.tensor([question.seed])})
        for attempt in range(1, self._tries + 1):
            try:
                answer = self._http.post("/v1/score", content=blob)
                if answer.status_code == 200:
                    return float(answer.json()["raw_scores"][0]), attempt > 1
                told_last = f"{answer.status_code} {answer.text[:60]}"
            except httpx.TransportError as error:
                told_last = type(error).__name__
            if attempt < self._tries:
                time.sleep(0.5 * attempt)
        raise RuntimeError(told_last)


@dataclass
class Survival:
    """What came of questions during which a process was killed."""

    asked: int
    answered: int = 0
    wrong: int = 0
    """Answers that are not the score of this process to 1e-4."""
    asked_again: int = 0
    largest_difference: float = 0.0
    seconds: float = 0.0
    longest_silence: float = 0.0
    """Seconds between two answers to anybody."""
    lost: dict[str, int] = field(default_factory=dict)

    def line(self) -> str:
        """For people."""
        lost = ", ".join(f"{count} {what}" for what, count in self.lost.items()) or "none"
        return (
            f"{self.answered} of {self.asked} answered, {self.wrong} wrong (largest difference "
            f"{self.largest_difference:.1e}), {self.asked_again} asked again, lost: {lost}; "
            f"{self.seconds:.1f} s, longest silence {self.longest_silence:.1f} s"
        )


def ask_through(
    make: Callable[[], Client], asked: Sequence[Question], kill: Callable[[], None], at: int, threads: int = 16
) -> Survival:
    """Ask all from `threads` at once, each with a client of its own, and call `kill` after `at` answers."""
    found, waiting, lock = Survival(len(asked)), queue.SimpleQueue[Question](), threading.Lock()
    for question in asked:
        waiting.put(question)
    begun = last = time.perf_counter()
    failed: list[Exception] = []

    def note(question: Question, score: float | str, again: bool) -> None:
        nonlocal last
        now = time.perf_counter()
        with lock:
            if isinstance(score, str):
                found.lost[score] = found.lost.get(score, 0) + 1
                return
            found.longest_silence, last = max(found.longest_silence, now - last), now
            found.answered, found.asked_again = found.answered + 1, found.asked_again + again
            difference = abs(score - question.wanted)
            found.largest_difference = max(found.largest_difference, difference)
            found.wrong += not difference <= 1e-4
            shall_kill = found.answered == at
        if shall_kill:
            kill_once()

    def kill_once() -> None:
        try:
            kill()
        except Exception as error:
            failed.append(error)

    def work() -> None:
        client = make()
        while True:
            try:
                question = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                note(question, *client.ask(question))
            except Exception as error:
                note(question, f"{type(error).__name__}: {str(error).partition(': ')[2][:90] or error}", False)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failed:
        raise failed[0]
    found.seconds = time.perf_counter() - begun
    return found


def replicas_of(process: psutil.Process) -> list[psutil.Process]:
    """The processes of the replicas that a server started, by Ray's name for them."""
    found = []
    for child in process.children(recursive=True):
        try:
            if "".join(child.cmdline()[:1]).startswith(REPLICA):
                found.append(child)
        except psutil.Error:
            continue
    return found


class Supervised:
    """A server that is started again a second after it ended, as a service manager does."""

    def __init__(self, *words: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._command = [str(PROGRAM), "serve", "--port", str(self.port), "--quiet", *words]
        self._ended, self.starts = threading.Event(), 0
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self) -> str:
        """Where it listens, whenever it does."""
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """SIGKILL for the process of now."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._process = subprocess.Popen(self._command)
            self.starts += 1
            self._process.wait()
            self._ended.wait(1.0)

    @contextmanager
    def running(self, seconds: float = 180.0) -> Iterator[Supervised]:
        """Once it answers, until SIGTERM ends it. RuntimeError where it does not answer in time."""
        self._thread.start()
        until = time.monotonic() + seconds
        try:
            while not _ready(self.address):
                if time.monotonic() > until:
                    raise RuntimeError(f"no server at {self.address} after {seconds:g} s")
                time.sleep(0.2)
            yield self
        finally:
            self._ended.set()
            if self._process is not None:
                self._process.terminate()
            self._thread.join()


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
