"""One file of an address, brought to this machine: tried again where a server hangs up or says nothing more.

It imports what speaks to servers, and is imported only where a cache lies at an address.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import fsspec
from fsspec.callbacks import Callback

from dina_lrm.data.cache.remote.addresses import shown_address, without_passwords_in
from dina_lrm.data.cache.remote.patience import Patience
from dina_lrm.typed import DinaError

_OWN_DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_AGAIN: Final = (408, 425, 429)
"""Answers of a server below 500 that another try may change."""


class WrongContentError(DinaError):
    """What came is not what the cache recorded."""


class _TooLargeError(DinaError):
    """A file is larger than it may be."""


def fetch_file(
    address: str, out: Path, check: Callable[[Path], None], patience: Patience, most: int | None = None
) -> None:
    """Write the file of an address to `out`, which `check` has accepted; at most `most` bytes of it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is too large, the server refuses, or after all tries did not send it whole; WrongContentError
            where `check` refused what came of the last try. Names and passwords are in no message.
    """
    shown = shown_address(address)
    for number in range(1, patience.tries + 1):
        try:
            _try_once(address, out, patience.stall, most)
            check(out)
            return
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{shown}: there is no such file") from error
        except _TooLargeError:
            raise
        except Exception as error:
            told = f"{shown}: {_reason(error)}"
            if isinstance(error, OSError) and error.errno in _OWN_DISK:
                raise DinaError(f"{told}, when it was written to {out.parent}") from error
            if not _may_change(error):
                raise DinaError(f"{told}; accepted: an address that may be read") from error
            if number == patience.tries:
                kind = WrongContentError if isinstance(error, WrongContentError) else DinaError
                raise kind(
                    f"{told} (try {number} of {patience.tries}). When it answers again, the same command goes on: "
                    "what was fetched is kept, and a run that is trained is taken up with --resume"
                ) from error
            time.sleep(patience.wait * 2 ** (number - 1))


def _try_once(address: str, out: Path, stall: float, most: int | None) -> None:
    """One try, in a thread that is left behind when nothing comes: not every file system has a limit of time."""
    attempt = _Attempt(address, out, stall, _Progress(shown_address(address), most))
    thread = threading.Thread(target=attempt.run, daemon=True)
    thread.start()
    while not attempt.done.wait(max(attempt.progress.moved + stall - time.monotonic(), 0.01)):
        if time.monotonic() - attempt.progress.moved >= stall:
            attempt.progress.abandoned = True
            raise TimeoutError(f"nothing came for {stall:g} seconds, after {attempt.progress.bytes} bytes")
    if attempt.error is not None:
        raise attempt.error


class _Progress(Callback):
    """When the last bytes came, and whether anybody still waits for them."""

    def __init__(self, shown: str, most: int | None) -> None:
        super().__init__()
        self.shown, self.most, self.bytes, self.moved, self.abandoned = shown, most, 0, time.monotonic(), False

    def relative_update(self, inc: int = 1) -> None:
        """Count bytes that came. Raises where they are too many, or nobody waits."""
        self.bytes, self.moved = self.bytes + inc, time.monotonic()
        if self.abandoned:
            raise TimeoutError("given up")
        if self.most is not None and self.bytes > self.most:
            raise _TooLargeError(
                f"{self.shown}: is larger than {self.most} bytes, all that local copies may take; accepted: more "
                "room for them, or a cache of smaller shards (`dina-lrm cache repack`)"
            )


@dataclass
class _Attempt:
    """A try to fetch a file, and how it ended."""

    address: str
    out: Path
    stall: float
    progress: _Progress
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None

    def run(self) -> None:
        """Fetch; what goes wrong is kept."""
        try:
            files, path = fsspec.core.url_to_fs(self.address, **_limits(self.address, self.stall))
            # An open file, so that a try that was given up writes to nothing that has a name
            self.out.unlink(missing_ok=True)
            with self.out.open("wb") as file:
                files.get_file(path, file, callback=self.progress)
        except Exception as error:
            self.error = error
        finally:
            self.done.set()


def _limits(address: str, stall: float) -> dict[str, Any]:
    """Limits of time that the file system knows itself."""
    if not address.lower().startswith(("http://", "https://")):
        return {}
    limits = aiohttp.ClientTimeout(total=None, sock_connect=stall, sock_read=2 * stall)
    return {"client_kwargs": {"timeout": limits}}


def _may_change(error: Exception) -> bool:
    """Whether another try may end better: not where the server refuses, or the file system is not installed."""
    if isinstance(error, ImportError | PermissionError):
        return False
    return not isinstance(error, aiohttp.ClientResponseError) or error.status >= 500 or error.status in _AGAIN


def _reason(error: Exception) -> str:
    told = without_passwords_in(" ".join(str(error).split()))
    if isinstance(error, ImportError):
        return f"{told or type(error).__name__} (install that package to read such addresses)"
    return f"{told:.300}" or type(error).__name__
