"""Pairs come into the store as they are needed, in a thread of their own: nobody waits until a folder is read."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Final, final

from dina_lrm.collecting.asking.controls import ControlMaker
from dina_lrm.collecting.candidates.candidate import Candidates
from dina_lrm.data.votes import Added, NewPair, VoteStore
from dina_lrm.typed import DinaError

POOL: Final = 400
"""Tasks that nobody has answered yet and that are there to choose from."""
_TOGETHER: Final = 16


@final
class Filling:
    """Takes pairs from a source and adds them to a store, while `wanted` says so; `added` hears of those that are new.

    `ended` is whether there are no more; `fault` is a sentence on why it ended before the source did.
    """

    def __init__(
        self,
        candidates: Candidates,
        store: VoteStore,
        wanted: Callable[[], bool],
        added: Callable[[Added], None],
        controls: ControlMaker | None,
    ) -> None:
        self._candidates, self._store, self._wanted, self._added = candidates, store, wanted, added
        self._controls = controls
        self._wake, self._moved, self._closed = threading.Event(), threading.Event(), False
        self.ended, self.fault = False, ""
        self._thread = threading.Thread(target=self._run, name="filling", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look(self) -> None:
        """Look again whether more are wanted."""
        self._wake.set()

    def wait(self, seconds: float) -> bool:
        """Wait for more pairs, or for the end; returns False where neither came in time."""
        self._moved.clear()
        return self.ended or self._moved.wait(max(0.0, seconds))

    def close(self) -> None:
        """End, when what is being added is."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._closed and self._add():
                while not self._closed and not self._wanted():
                    self._wake.wait()
                    self._wake.clear()
        except (DinaError, ValueError, OSError, RuntimeError) as error:
            self.fault = f"no more pairs come: {error}"
        self.ended = True
        self._moved.set()

    def _add(self) -> bool:
        """Add the next few; returns whether there may be more."""
        part = list(itertools.islice(self._candidates.pairs, _TOGETHER))
        pairs = [NewPair(one.prompt, one.first, one.second, source=one.source) for one in part]
        if self._controls is not None:
            pairs += [control for one in part for control in self._controls.made_of(one)]
        if pairs:
            found = self._store.add_pairs(pairs)
            for reason in found.refused:
                self._candidates.leave_out("a pair that cannot be asked about", reason)
            self._added(found)
            self._moved.set()
        return len(part) == _TOGETHER
