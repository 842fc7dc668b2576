"""Who makes which shard: a file for each claim, made by whoever is first, and given up by who is gone.

A claim holds the machine and the process. One of a process of this machine that is no more is taken over at once, one
of another machine when it was not renewed for `LEASE` seconds. That two make one shard is a waste and no fault: both
put the same bytes in its place.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from dina_lrm.runs.files import alive, machine

CLAIMS: Final = "claims"
LEASE: Final = 120.0
"""Seconds; a claim is renewed four times in it."""
_UNSIGNED: Final = 5.0
"""Seconds that a claim may be empty."""


class Claims:
    """The claims of one process in a folder; a context, at whose end they are given up."""

    def __init__(self, folder: Path, lease: float = LEASE) -> None:
        self._folder, self._lease = folder / CLAIMS, lease
        self._folder.mkdir(exist_ok=True)
        self._held: set[Path] = set()
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Claims:
        self._renewing.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._renewing.join()
        for path in self._held:
            path.unlink(missing_ok=True)

    def take(self, shard: str) -> bool:
        """Whether the shard is this process's to make."""
        path = self._path(shard)
        if self._made(path):
            return True
        if not self._is_given_up(path):
            return False
        with suppress(OSError):  # only one of several that see it can move it away
            aside = path.with_name(f"{path.name}.{machine()}.{os.getpid()}")
            os.rename(path, aside)
            aside.unlink()
        return self._made(path)

    def done(self, shard: str) -> None:
        """Give up the claim of a shard that is noted."""
        path = self._path(shard)
        self._held.discard(path)
        path.unlink(missing_ok=True)

    def _path(self, shard: str) -> Path:
        return self._folder / f"{shard.replace('/', '-')}.claim"

    def _made(self, path: Path) -> bool:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{machine()} {os.getpid()}\n")
        self._held.add(path)
        return True

    def _is_given_up(self, path: Path) -> bool:
        try:
            told, age = path.read_text().split(), time.time() - path.stat().st_mtime
        except OSError:  # it was given up just now
            return False
        if len(told) != 2:  # its writer is about to say who it is, or died before it did
            return age > min(self._lease, _UNSIGNED)
        return not alive(int(told[1])) if told[0] == machine() else age > self._lease

    def _renew(self) -> None:
        while not self._ended.wait(self._lease / 4):
            for path in tuple(self._held):
                with suppress(OSError):
                    os.utime(path)
