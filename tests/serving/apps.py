"""A server's application in this process, asked without a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.testclient import TestClient

from dina_lrm.serving.app import make_app
from dina_lrm.serving.load import load_engine
from dina_lrm.serving.settings import ServerSettings


@contextmanager
def asked(settings: ServerSettings, **given: Any) -> Iterator[TestClient]:
    """A client of a server with these settings, on the CPU."""
    app = make_app(load_engine(settings, device="cpu"), **given)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client
