"""JSON bodies of requests, read strictly: the error names the place, what was given, and what is accepted."""

from __future__ import annotations

import reprlib
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from dina_lrm.runs.json_files import parse_json
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, bad_request

Body = TypeVar("Body", bound=BaseModel)
_STRUCTURE: Final = (b",", b":", b"[", b"{")


def read_body(kind: type[Body], body: bytes, limits: Limits) -> Body:
    """The body as a `kind`. Problem 400 for anything else, 413 for more values than anybody needs."""
    return read_object(kind, body, limits, "the body", "bad_request")


def read_object(kind: type[Body], text: bytes, limits: Limits, where: str, code: str) -> Body:
    """A JSON text as a `kind`; errors name the place in `where` and have this `code`.

    Values are counted before they are made: each takes much more memory than its comma.
    """
    values = sum(map(text.count, _STRUCTURE))
    if values > limits.json_values:
        raise Problem(413, "too_large", f"{where}: {values} values; accepted: at most {limits.json_values}")
    try:
        return kind.model_validate(parse_json(text, where))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))[:120] or "all of it"
        given = reprlib.repr(first["input"])[:80]
        raise bad_request(code, f"{where}, {place}: {first['msg'][:200]}, given {given}") from error
    except ValueError as error:
        raise bad_request(code, f"{error!s:.300}") from error


def check_count(count: int, limits: Limits) -> None:
    """Refuse no items, and more than a request may have."""
    if not count:
        raise bad_request("bad_request", "no items; accepted: at least one")
    if count > limits.batch:
        raise Problem(413, "too_large", f"{count} items; accepted: at most {limits.batch}")


def checked_prompt(prompt: str, place: str, limits: Limits) -> str:
    """A prompt that can be scored. Problem 400 for an empty one or half a character, 413 for one that is too long."""
    if not prompt.strip():
        raise bad_request("bad_prompt", f"{place} is empty; accepted: the text that the picture was made for")
    if any("\ud800" <= letter <= "\udfff" for letter in prompt):
        raise bad_request("bad_prompt", f"{place} holds half a character")
    if len(prompt) > limits.prompt_characters:
        raise Problem(413, "too_large", f"{place}: {len(prompt)} characters; accepted: {limits.prompt_characters}")
    return prompt
