"""A folder of copies, the least recently used of which go when there are too many.

Any number of processes use it at once: one fetches a file while the others wait, and none removes what another reads.
Copies are called by the hash of what they hold, so that caches that have a shard in common share it, and what was
fetched from a cache that was replaced is never taken for another.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dina_lrm.data.cache.remote.patience import PATIENT, Patience
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.runs.lock import BusyError, one_writer
from dina_lrm.runs.places import check_folder
from dina_lrm.typed import DinaError, require

if sys.platform != "win32":
    import fcntl

FOLDER: Final = "DINA_LRM_COPIES"
ROOM: Final = "DINA_LRM_COPIES_GIB"
_USUAL_ROOM: Final = 100.0
_POLL: Final = 0.05
_SUFFIX: Final = ".safetensors"


@dataclass(frozen=True)
class LocalCopies:
    """Where copies of shards are kept, how many bytes they may take in all, and how patiently they are fetched.

    Tables of a cache lie beside them, are not counted, and stay.
    """

    folder: Path
    most: int
    patience: Patience = PATIENT

    def __post_init__(self) -> None:
        require(self.most >= 1, "most", self.most, "at least 1 byte")

    @classmethod
    def usual(cls) -> LocalCopies:
        """As the environment says: the folder `DINA_LRM_COPIES`, of at most `DINA_LRM_COPIES_GIB`.

        Without them `~/.cache/dina-lrm/copies`, of at most 100 GiB. Raises ValueError for what is no number above 0.
        """
        given = os.environ.get(ROOM) or str(_USUAL_ROOM)
        try:
            room = float(given)
        except ValueError:
            room = 0.0
        if not 0 < room < 2**33:  # NaN is not
            raise DinaError(f"{ROOM}={given}: accepted: a number of GiB above 0")
        folder = os.environ.get(FOLDER)
        place = Path(folder).expanduser() if folder else Path.home() / ".cache" / "dina-lrm" / "copies"
        return cls(place, max(int(room * 2**30), 1))

    def check(self) -> None:
        """Raise ValueError where nothing can be written."""
        check_folder(FOLDER, self.folder)

    @property
    def shards(self) -> Path:
        """The folder of those that are counted."""
        return self.folder / "shards"

    @contextmanager
    def held(self, key: str, fetch: Callable[[Path], None]) -> Iterator[Path]:
        """The copy of that key, which nobody removes until the block ends; `fetch` writes it where there is none."""
        path = self.shards / f"{key}{_SUFFIX}"
        descriptor = _held(path)
        while descriptor is None:
            descriptor = self._put(path, fetch)
        try:
            with suppress(OSError):  # the time of use alone: that of change tells whether the file is still the same
                os.utime(path, ns=(time.time_ns(), os.fstat(descriptor).st_mtime_ns))
            yield path
        finally:
            os.close(descriptor)

    def drop(self, key: str) -> None:
        """Remove a copy, whoever reads it: it is damaged."""
        (self.shards / f"{key}{_SUFFIX}").unlink(missing_ok=True)

    def _put(self, path: Path, fetch: Callable[[Path], None]) -> int | None:
        """What `_held` gives of a copy that another process brought meanwhile, or that was fetched."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with _turn(path):
            if not path.exists():
                with replaced_when_complete(path) as aside:
                    fetch(aside)
                    self._make_room(aside.stat().st_size)
            return _held(path)  # at once: it may be the next to go

    def _make_room(self, size: int) -> None:
        """Remove copies that nobody holds, those first that were not used for longest, until `size` bytes fit too."""
        with _turn(self.shards / "room"):
            told = [(path, path.stat()) for path in self.shards.glob(f"*{_SUFFIX}") if not path.name.startswith(".")]
            over = sum(stat.st_size for _, stat in told) + size - self.most
            for path, stat in sorted(told, key=lambda entry: entry[1].st_atime_ns):
                if over <= 0:
                    return
                if _removed(path):
                    over -= stat.st_size


@contextmanager
def _turn(target: Path) -> Iterator[None]:
    """Wait until no other process or thread holds `target`, and hold it."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(one_writer(target))
                break
            except BusyError:
                time.sleep(_POLL)
        yield


def _held(path: Path) -> int | None:
    """An open descriptor that keeps a copy from being removed; None where there is no copy."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    if sys.platform != "win32":
        with suppress(OSError):  # file systems without locks: what is removed meanwhile is fetched again
            fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except FileNotFoundError:
        pass
    os.close(descriptor)
    return None


def _removed(path: Path) -> bool:
    """Whether a copy could be removed: nobody holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
