"""A socket whose time-out holds for all that follows, however many bytes it comes in.

A plain socket begins its time-out anew with every byte, so that a server that sends one now and then is never late.
"""

from __future__ import annotations

import io
import socket
from time import monotonic
from typing import Any, final

from dina_lrm.rewards.remote.traffic import Traffic


@final
class TimedSocket:
    """Stands where http.client and urllib3 want a socket; sends and receives raise TimeoutError when time is over."""

    def __init__(self, plain: socket.socket, traffic: Traffic) -> None:
        self._plain, self._traffic = plain, traffic
        self._end: float | None = None

    def settimeout(self, seconds: float | None) -> None:
        """Allow so many seconds from now on for everything together; None for ever."""
        self._end = None if seconds is None else monotonic() + seconds

    def allow(self) -> None:
        """Give what is left of the time to the next step."""
        if self._end is None:
            return
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError("the time is over")
        self._plain.settimeout(left)

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        view = memoryview(data).cast("B")
        while view:
            self.allow()
            sent = self._plain.send(view)
            self._traffic.add(bytes_sent=sent)
            view = view[sent:]

    def makefile(self, mode: str = "rb", *_: Any, **__: Any) -> io.BufferedReader:  # noqa: ANN401 - as socket.makefile
        """A reader of what comes; the socket stays open until it is closed too."""
        assert mode == "rb"
        return io.BufferedReader(_Incoming(self, self._plain, self._traffic))

    def fileno(self) -> int:
        """The descriptor, for select."""
        return self._plain.fileno()

    def shutdown(self, how: int) -> None:
        """Cut the connection."""
        self._plain.shutdown(how)

    def close(self) -> None:
        """Close it, once its readers are closed."""
        self._plain.close()


@final
class _Incoming(io.RawIOBase):
    def __init__(self, timed: TimedSocket, plain: socket.socket, traffic: Traffic) -> None:
        super().__init__()
        self._timed, self._traffic = timed, traffic
        self._raw = plain.makefile("rb", buffering=0)  # it keeps the socket open after a "connection: close"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        self._timed.allow()
        count = self._raw.readinto(buffer) or 0
        self._traffic.add(bytes_received=count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
