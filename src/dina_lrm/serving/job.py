"""The job of `dina-lrm serve`, without the libraries of the extra until it is known that they are there."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dina_lrm.precision import default_device
from dina_lrm.runs.imports import collector_at_rest
from dina_lrm.serving.http.listening import listening_socket
from dina_lrm.serving.settings import ServerSettings
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    import torch

NEEDED = ("fastapi", "uvicorn", "python_multipart")


def serve(
    settings: ServerSettings,
    told: Callable[[str], None] = print,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    force: bool = False,
) -> None:
    """Load the models, listen, and answer until SIGINT or SIGTERM; `told` hears what happens, in sentences.

    With `force` models are loaded that will not fit into memory by what is counted beforehand.

    Raises:
        ValueError: settings that could not run, a model that is none, a library that is missing.
        OSError: an address that cannot be listened at.
    """
    settings.check()
    extra, needed = ("ray", (*NEEDED, "ray")) if settings.replicas else ("serve", NEEDED)
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise DinaError(f"serve: {', '.join(missing)} not installed; accepted: pip install 'dina-lrm[{extra}]'")
    if settings.replicas:
        from dina_lrm.serving.ray_serve import run_replicas

        return run_replicas(settings, told, device=device, dtype=dtype)
    ports = [settings.port, *([] if settings.pickle_port is None else [settings.pickle_port])]
    with ExitStack() as stack:
        # Taken before models are loaded, so that a port which is not free is told at once
        listening = [stack.enter_context(listening_socket(settings.door, port)) for port in ports]
        with collector_at_rest():
            from dina_lrm.profiling.estimates.serving import refuse_serving
            from dina_lrm.serving.load import load_engine
            from dina_lrm.serving.server import run_server

            if not force:
                place = device or default_device()
                refuse_serving(settings, place, dtype)
            engine = load_engine(settings, told, device, dtype)
        gc.freeze()  # the models are there to stay too
        return run_server(engine, settings, told, listening)
