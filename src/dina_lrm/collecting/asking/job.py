"""Collect votes on a page until it is ended: Ctrl-C or SIGTERM, after which everything that was answered is there."""

from __future__ import annotations

import asyncio
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from dina_lrm.collecting.asking.collection import Collection
from dina_lrm.collecting.candidates.kinds import open_candidates
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.data.votes import CollectionSettings, Question, VoteStore
from dina_lrm.runs.lock import one_writer
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    import socket

    from dina_lrm.serving.http.running import Listener

NEEDED: Final = ("fastapi", "uvicorn")
_LAST_SECONDS: Final = 5.0
_PAIRS_A_STEP: Final = 84
"""Of the recipe `synthetic`."""


@dataclass(frozen=True)
class Collected:
    """What came of it: all votes that stand, and how many of them are new."""

    out: Path
    votes: int
    new: int
    pairs: int
    notes: tuple[str, ...]

    def told(self) -> list[str]:
        """Sentences for a terminal."""
        if not self.votes:
            return [*self.notes, "no votes yet; the same command begins again"]
        told = f"{self.votes} votes in {self.out}, {self.new} of them new"
        return [*self.notes, told, f"train on them: {training_command(self.out, self.votes)}"]

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a command's JSON."""
        train = training_command(self.out, self.votes)
        return {**vars(self), "out": str(self.out), "notes": list(self.notes), "train": train}


def annotate(settings: AnnotateSettings, say: Callable[[str], None] = print) -> Collected:
    """Serve the page until SIGINT or SIGTERM; `say` hears what was found and where the page is, a sentence each.

    Every vote is in the store before it is answered: whatever ends this, the same call goes on from it.

    Raises:
        DinaError: a place with nothing to vote on, a library that is missing, an open door.
        BusyError: another process collects into that store.
        OSError: an address that cannot be listened at.
    """
    settings.check()
    with listening_collection(settings) as (collection, taken):
        from dina_lrm.serving.http.running import answer_until_signal

        listener = _listener(collection, taken, lambda: _said(collection, taken, say))
        asyncio.run(answer_until_signal([listener], [taken], lambda: None))
        collection.close()
        return _collected(collection)


def training_command(out: Path, votes: int) -> str:
    """The command that trains on the votes of a store, ten times on each, on the bundled generator."""
    steps = min(800, max(50, round(10 * votes / _PAIRS_A_STEP)))
    words = ["dina-lrm", "train", "synthetic", "--data", str(out), "--out", "runs/taste", "--steps", str(steps)]
    return shlex.join([*words, "--validation-fraction", "0.1"])


@contextmanager
def served(settings: AnnotateSettings) -> Iterator[tuple[str, Collection]]:
    """The page in a thread of this process, for as long as the block lasts; its address, and the collection."""
    settings.check()
    with listening_collection(settings) as (collection, taken):
        ready = threading.Event()
        listener = _listener(collection, taken, ready.set)
        thread = threading.Thread(target=lambda: asyncio.run(listener.serve(sockets=[taken])), daemon=True)
        thread.start()
        try:
            ready.wait()
            yield page_address(settings, taken), collection
        finally:
            listener.should_exit = True
            thread.join()


@contextmanager
def listening_collection(settings: AnnotateSettings) -> Iterator[tuple[Collection, socket.socket]]:
    """A collection and the socket of its page; nobody else collects into its store meanwhile."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise DinaError(f"annotate: {', '.join(missing)} not installed; accepted: pip install 'dina-lrm[serve]'")
    from dina_lrm.serving.http.listening import listening_socket

    with listening_socket(settings.door) as taken, open_collection(settings) as collection:
        yield collection, taken


@contextmanager
def open_collection(settings: AnnotateSettings) -> Iterator[Collection]:
    """A collection without a page of its own; nobody else collects into its store meanwhile. Raises as `annotate`."""
    settings.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with one_writer(settings.out):
        candidates = open_candidates(settings)
        with VoteStore.open(settings.out, _begun(settings)) as store:
            collection = Collection(settings, store, candidates)
            try:
                yield collection
            finally:
                collection.close()


def page_address(settings: AnnotateSettings, taken: socket.socket) -> str:
    """Where the page is opened; a token stands behind the #, which no server is sent."""
    from dina_lrm.serving.http.listening import address_of

    token = settings.door.token()
    place = address_of(settings.door, *taken.getsockname()[:2])
    return f"{place}/" + (f"#{quote(token, safe='')}" if token else "")


def _begun(settings: AnnotateSettings) -> CollectionSettings:
    asked = [Question(one.name, one.text) for one in settings.asked()]
    return CollectionSettings(tuple(asked)) if asked else CollectionSettings()


def _listener(collection: Collection, taken: socket.socket, ready: Callable[[], None]) -> Listener:
    from dina_lrm.collecting.asking.app import LIMITS, make_app
    from dina_lrm.serving.http.running import Listener, listener_config

    door = collection.settings.door
    return Listener(listener_config(make_app(collection, door.token()), door, LIMITS, _LAST_SECONDS), ready)


def _said(collection: Collection, taken: socket.socket, say: Callable[[str], None]) -> None:
    resumed = [f"{collection.resumed} votes are there already"] if collection.resumed else []
    where = page_address(collection.settings, taken)
    for line in (*collection.notes(), *resumed, f"vote at {where} (Ctrl-C ends; every vote is saved at once)"):
        say(line)


def _collected(collection: Collection) -> Collected:
    votes = collection.votes
    return Collected(
        collection.settings.out, votes, votes - collection.resumed, collection.pairs, tuple(collection.notes())
    )
