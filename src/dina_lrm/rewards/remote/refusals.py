"""Answers that are no scores: what the server says, as one line that a person can read."""

from __future__ import annotations

from typing import Any

from dina_lrm.rewards.addresses import printable
from dina_lrm.rewards.remote.connections import Answer
from dina_lrm.rewards.remote.errors import RemoteRewardError
from dina_lrm.rewards.remote.tokens import TOKEN, TOKEN_FILE
from dina_lrm.runs.json_files import parse_json


def refusal(name: str, answer: Answer, attempts: int) -> RemoteRewardError:
    """The error of an answer with a status that is not wanted, with the server's own code and reason."""
    tries = f" ({attempts} attempts)" if attempts > 1 else ""
    if 300 <= answer.status < 400:
        place = printable(answer.headers.get("location", ""))
        told = f"sends to {place!r}; redirects are not followed: give the final address"
        return RemoteRewardError(f"{said(name, answer)}: {told}", answer.status)
    error = server_error(answer)
    code = error.pop("code", None)
    code = printable(code, 80) if isinstance(code, str) else None
    message = error.pop("message", None)
    if code is not None and isinstance(message, str):
        told = f"{said(name, answer)}: {code}: {printable(message, 500)}{tries}"
    else:
        told = f"{said(name, answer)}: {printable(answer.body)}{tries}"
    if answer.status == 401:
        told += f"; accepted: the server's token in {TOKEN} or {TOKEN_FILE}"
    return RemoteRewardError(told, answer.status, code, error)


def said(name: str, answer: Answer) -> str:
    """Whose answer it is, with its status."""
    return f"{name}: {answer.status} {printable(answer.reason, 80)}"


def server_error(answer: Answer) -> dict[str, Any]:
    """The object under `error` in the body; empty where the body is no such thing."""
    try:
        body = parse_json(answer.body, "its answer")
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return dict(error) if isinstance(error, dict) else {}
