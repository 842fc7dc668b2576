"""Requests that schemathesis makes from the server's OpenAPI: those that it allows, and those that it does not."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import urlsplit

import requests
import schemathesis.openapi
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from schemathesis import GenerationMode

from benchmarks.serving_fuzzing.requests import Case, post

_HELD = ("host", "content-length", "connection", "transfer-encoding")


def made(openapi: dict[str, Any], count: int, number: int) -> list[Case]:
    """About `count` cases from all operations of the document, the same ones for the same `number`."""
    operations = [each.ok() for each in schemathesis.openapi.from_dict(openapi).get_all_operations()]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    each = max(1, -(-count // (len(operations) * len(modes))))
    found = [case for operation in operations for mode in modes for case in _of(operation, mode, each, number)]
    random.Random(number).shuffle(found)
    return found[:count]


def _of(operation: Any, mode: GenerationMode, count: int, number: int) -> list[Case]:  # noqa: ANN401 - schemathesis's
    found: list[Case] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
        verbosity=Verbosity.quiet,
    )
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Any) -> None:  # noqa: ANN401 - schemathesis's
        asked = _case(case)
        if asked is not None:
            found.append(asked)

    try:
        collect()
    except Exception as error:  # an operation without inputs cannot be asked wrongly
        if type(error).__name__ not in ("Unsatisfiable", "InvalidArgument"):
            raise
    return found


def _case(case: Any) -> Case | None:  # noqa: ANN401 - schemathesis's
    keys = ("method", "url", "headers", "params", "files", "data", "json", "cookies")
    given = {key: value for key, value in case.as_transport_kwargs(base_url="http://127.0.0.1").items() if key in keys}
    try:
        prepared = requests.Request(**given).prepare()
    except (requests.RequestException, ValueError, UnicodeError):
        return None  # what the client itself refuses to send
    address = urlsplit(str(prepared.url))
    path = address.path + (f"?{address.query}" if address.query else "")
    headers = [(name, value) for name, value in prepared.headers.items() if name.lower() not in _HELD]
    plain = [(name, value if isinstance(value, str) else value.decode("latin-1")) for name, value in headers]
    body = prepared.body or b""
    content = body.encode() if isinstance(body, str) else bytes(body)
    method = str(prepared.method)
    return post(f"{method} {case.operation.path} by the schema", path, content, *plain, method=method, refused=False)
