"""Why a request, or an item of it, gets no score."""

from __future__ import annotations

from typing import Any, final


@final
class Problem(Exception):
    """An error with the HTTP status, a code for programs, and a sentence for people: never a score in their place.

    `details` are further keys of the answer's `error`; `retry_after` is in seconds.
    """

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: int | None = None, **details: object
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.retry_after, self.details = retry_after, details

    def at(self, place: str) -> Problem:
        """The same problem, saying where in the request it is."""
        return Problem(self.status, self.code, f"{place}: {self.message}", retry_after=self.retry_after, **self.details)

    def told(self) -> dict[str, Any]:
        """The object that stands under `error`."""
        return {"code": self.code, "message": self.message, **self.details}


def bad_request(code: str, message: str) -> Problem:
    """A request that no server could understand (400)."""
    return Problem(400, code, message)


def unprocessable(code: str, message: str) -> Problem:
    """A request that is understood, and that this model cannot answer (422)."""
    return Problem(422, code, message)


def problem_of(error: Exception) -> Problem:
    """The problem that an error is: our own as they are, bad input 422, anything else 500."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValueError):
        return Problem(422, "not_scored", f"{error!s:.500}")
    return Problem(500, "failed", f"{type(error).__name__}: {error!s:.300}")
