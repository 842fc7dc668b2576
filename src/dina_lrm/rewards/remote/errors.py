"""What went wrong between a client and a server."""

from __future__ import annotations

from typing import Any


class RemoteRewardError(RuntimeError):
    """A remote reward that could not be reached, or whose answer is no answer.

    `status` and `code` are those of the server where it refused; `details` is what else its error says.
    """

    def __init__(
        self, message: str, status: int | None = None, code: str | None = None, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.details = status, code, details or {}


class RemoteRewardWarning(UserWarning):
    """What a server noticed about a request that it answered, or what it is not able to do."""
