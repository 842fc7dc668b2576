"""The server of the pages: Gradio behind our own door, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Final

import gradio as gr
import torch
import uvicorn
from fastapi import FastAPI

from dina_lrm.collecting.asking.app import make_app
from dina_lrm.collecting.asking.job import open_collection
from dina_lrm.runs.imports import collector_at_rest
from dina_lrm.serving.http.listening import address_of
from dina_lrm.serving.http.running import Listener, answer_until_signal
from dina_lrm.serving.http.signing_in import SignedIn
from dina_lrm.studio.pages.annotating import VOTING
from dina_lrm.studio.pages.app import studio_pages
from dina_lrm.studio.pages.look import HEAD, THEME
from dina_lrm.studio.room import Room, load_room
from dina_lrm.studio.settings import StudioSettings

_LARGEST_UPLOAD: Final = "64mb"
_LAST_SECONDS: Final = 2
"""A page that is open holds a connection for as long as it is; a work that goes on has as long to end a step."""


def run_studio(
    settings: StudioSettings,
    told: Callable[[str], None],
    listening: socket.socket,
    device: str | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Load the model and show the pages until SIGINT or SIGTERM; what was uploaded is deleted at the end.

    Raises DinaError for a model that is none.
    """
    with collector_at_rest():
        room = load_room(settings, device, dtype)
    place, votes = address_of(settings.door, *listening.getsockname()[:2]), settings.collecting
    with (
        nullcontext() if votes is None else open_collection(votes) as collection,
        tempfile.TemporaryDirectory(prefix="dina-lrm-studio-") as uploads,
    ):
        app = studio_app(replace(room, collection=collection), settings.door.token(), uploads)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, ws="none",
            timeout_graceful_shutdown=_LAST_SECONDS,
        )  # fmt: skip
        listener = Listener(config, lambda: told(f"studio at {place} (Ctrl-C ends)"))
        try:
            asyncio.run(answer_until_signal([listener], [listening], lambda: None))
        finally:
            room.bench.close(_LAST_SECONDS)


def studio_app(room: Room, token: str | None, uploads: str) -> SignedIn:
    """The application; pictures that are uploaded lie in the folder `uploads`."""
    # Gradio asks the environment alone: it reads these when pages and uploads are made
    os.environ["GRADIO_TEMP_DIR"] = uploads
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    logging.getLogger("httpx").setLevel(logging.WARNING)
    pages = FastAPI(openapi_url=None)
    if room.collection is not None:  # before Gradio, which answers all other paths
        pages.mount(f"/{VOTING}", make_app(room.collection, inside=True))
    app = gr.mount_gradio_app(
        pages,
        studio_pages(room),
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        max_file_size=_LARGEST_UPLOAD,
        theme=THEME,
        head=HEAD,
        enable_monitoring=False,
        mcp_server=False,
    )
    return SignedIn(app, token)
