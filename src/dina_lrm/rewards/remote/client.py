"""A client of a server: requests that are tried again, by threads and by event loops.

What is kept between requests (connections, threads, which prompts the server has) belongs to one process: a forked
child begins with none of it.
"""

from __future__ import annotations

import asyncio
import math
import os
import ssl
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import SystemRandom
from typing import Final, NoReturn, TypeVar, final

from urllib3.exceptions import NewConnectionError

from dina_lrm import __version__
from dina_lrm.rewards.addresses import Address, printable
from dina_lrm.rewards.remote.connections import Answer, Connections, Failure
from dina_lrm.rewards.remote.errors import RemoteRewardError, RemoteRewardWarning
from dina_lrm.rewards.remote.known_prompts import KnownPrompts
from dina_lrm.rewards.remote.refusals import refusal, said
from dina_lrm.rewards.remote.traffic import Counts, Traffic
from dina_lrm.typed import DinaError

Found = TypeVar("Found")
BYTES: Final = 1 << 16
"""Of an answer that holds no scores."""
_AGENT: Final = f"dina-lrm/{__version__}"
_AGAIN: Final = (408, 425, 429, 500, 502, 503, 504, 507)
_LONGEST_PAUSE: Final = 60.0
_LONGEST_PAUSE_OF_A_RESTART: Final = 2.0
_MOMENT: Final = 0.05
"""Seconds that the last attempt has in any case: a pause may have taken longer than it was to."""
_TRIES_WHERE_NOBODY_IS: Final = 3
_DICE: Final = SystemRandom()  # pauses of many clients must differ, also those of forked ones


@dataclass(frozen=True)
class Patience:
    """How long a client tries. Seconds; `timeout` is that of each attempt, above the 100 s of the server."""

    timeout: float = 120.0
    retries: int = 4
    """Attempts after the first, fewer where nobody listens; a server that answered before is waited for while nobody
    does, up to the deadline."""
    backoff: float = 0.5
    """A pause is drawn from 0 to this before the first retry, to twice as much before each that follows."""
    deadline: float = 600.0
    """For all attempts of a request and the pauses between them."""

    def check(self, name: str) -> None:
        """Raise ValueError for what is no time."""
        times = 0 < self.timeout < math.inf and 0 < self.deadline < math.inf and 0 <= self.backoff < math.inf
        if not (times and self.retries >= 0):
            given = f"timeout {self.timeout}, retries {self.retries}, backoff {self.backoff}, deadline {self.deadline}"
            raise DinaError(f"{name}: {given}; accepted: above 0, 0 up, 0 up, above 0")

    def pause(self, attempt: int, asked: float | None) -> float:
        """Seconds before the next attempt: drawn at random, after as many as the server asked for, within limits."""
        longest = self.backoff * 2 ** min(attempt - 1, 20)
        return min((asked or 0.0) + _DICE.uniform(0.0, min(longest, _LONGEST_PAUSE)), self.timeout, _LONGEST_PAUSE)


@final
class _Kept:
    """What one process keeps."""

    def __init__(self, connections: Connections, threads: int) -> None:
        self.connections, self.known = connections, KnownPrompts()
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix="remote-reward")


@final
class RemoteClient:
    """Sends requests to one server, over connections that are kept open; safe to share between threads.

    `name` begins every error. `token` is sent as "authorization: Bearer TOKEN". At most `connections` requests are
    under way; others wait, and their time-out begins when their turn comes. `ca_file` is a certificate to trust
    beside those of the system. Proxies and passwords of the environment are not used.
    """

    def __init__(
        self,
        address: Address,
        name: str,
        token: str | None = None,
        patience: Patience | None = None,
        connections: int = 32,
        ca_file: str | None = None,
    ) -> None:
        patience = patience or Patience()
        patience.check(name)
        self.address, self.name, self.patience = address, name, patience
        self._authorization = f"Bearer {token}" if token else address.authorization
        self._most, self._ca_file = connections, ca_file
        self._traffic = Traffic()
        self._reached = False
        self._kept: dict[int, _Kept] = {}

    @property
    def traffic(self) -> Counts:
        """Attempts, retries, connections and bytes since the client was made."""
        return self._traffic.counts

    def count_prompt(self) -> None:
        """Count a prompt that was sent to be kept."""
        self._traffic.add(prompts_sent=1)

    @property
    def known(self) -> KnownPrompts:
        """The prompts that the server has, as far as this process knows."""
        return self._of_process().known

    async def in_thread(self, call: Callable[[], Found]) -> Found:
        """What `call` returns, made outside the event loop; any number of loops may wait at the same time."""
        return await asyncio.get_running_loop().run_in_executor(self._of_process().threads, call)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        most_bytes: int = BYTES,
        accepted: tuple[int, ...] = (200,),
    ) -> Answer:
        """An answer with one of the `accepted` statuses, of whichever attempt.

        Raises:
            RemoteRewardError: when no attempt was answered, the server refused, or the answer is no plain body of at
                most `most_bytes`.
        """
        end, attempt, spent = time.monotonic() + self.patience.deadline, 0, 0
        while True:
            attempt += 1
            self._traffic.add(attempts=1, retries=int(attempt > 1))
            found = self._once(method, path, body, headers or {}, most_bytes, end - time.monotonic())
            pause = self.patience.pause(attempt, found.wait() if isinstance(found, Answer) else None)
            left = end - time.monotonic()
            if returns := self._may_return(found):
                pause = min(pause, _LONGEST_PAUSE_OF_A_RESTART, max(left - _MOMENT, 0.0))
            else:
                spent += 1
            last = spent > self.patience.retries or left <= max(pause, _MOMENT)
            if last or not (returns or _may_help(found, attempt, accepted)):
                break
            time.sleep(pause)
        if isinstance(found, Answer):
            return self._checked(found, attempt, most_bytes, accepted)
        self._give_up(found, attempt)

    def _may_return(self, found: Answer | Exception) -> bool:
        """Whether the server, which answered before, is no longer there: it may be starting again."""
        if not (self._reached and self.patience.retries and isinstance(found, NewConnectionError)):
            return False
        told = f"{self.address} no longer listens; it is waited for, up to {self.patience.deadline:g} s a request"
        warnings.warn(f"{self.name}: {told}", RemoteRewardWarning, stacklevel=4)
        return True

    def _once(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], most_bytes: int, left: float
    ) -> Answer | Exception:
        told = {"authorization": self._authorization} if self._authorization else {}
        left = max(left, _MOMENT)
        timeout = min(self.patience.timeout, left)
        try:
            found = self._of_process().connections.ask(
                method, path, body, {"user-agent": _AGENT, **headers, **told}, timeout, most_bytes, left
            )
        except Failure as error:
            return error
        self._reached = True
        return found

    def _of_process(self) -> _Kept:
        found = self._kept.get(os.getpid())
        if found is None:
            connections = Connections(self.address, self._traffic, self._most, self._ca_file)
            found = self._kept.setdefault(os.getpid(), _Kept(connections, self._most))
        return found

    def _checked(self, answer: Answer, attempts: int, most_bytes: int, accepted: tuple[int, ...]) -> Answer:
        if answer.status not in accepted:
            raise refusal(self.name, answer, attempts)
        coding = answer.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            told = f"its body is {printable(coding, 80)}; accepted: no compression"
            raise RemoteRewardError(f"{said(self.name, answer)}: {told}")
        if answer.longer:
            told = f"more than the {most_bytes:,} bytes that it may take"
            raise RemoteRewardError(f"{said(self.name, answer)}: {told}")
        return answer

    def _give_up(self, error: Exception, attempts: int) -> NoReturn:
        where, tries = self.address, f"{attempts} attempt{'' if attempts == 1 else 's'}"
        if _caused_by(error, ConnectionRefusedError):
            told = f"{tries}: {where} refused the connection; is the server running there?"
        elif _caused_by(error, TimeoutError):
            told = f"{tries} of {self.patience.timeout:g} s"
        else:
            told = f"{tries}: {where}: {printable(str(error)) or type(error).__name__}"
        raise RemoteRewardError(f"{self.name}: no answer in {told}") from error


def _may_help(found: Answer | Exception, attempt: int, accepted: tuple[int, ...]) -> bool:
    """Whether another attempt may end better."""
    if isinstance(found, Answer):
        return found.status in _AGAIN and found.status not in accepted
    if _caused_by(found, ssl.SSLError) and not _caused_by(found, TimeoutError):
        return False
    return not (isinstance(found, NewConnectionError) and attempt >= _TRIES_WHERE_NOBODY_IS)


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an error, one that it was raised from, or one that it holds, is of a kind."""
    while error is not None:
        if isinstance(error, kind) or any(isinstance(each, kind) for each in error.args):
            return True
        error = error.__cause__ or error.__context__
    return False
