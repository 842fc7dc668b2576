"""The job of `dina-lrm studio`, without Gradio until it is known that it is there."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from dina_lrm.runs.imports import collector_at_rest
from dina_lrm.serving.http.listening import listening_socket
from dina_lrm.studio.settings import StudioSettings
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    import torch

NEEDED: Final = ("fastapi", "gradio", "uvicorn")


def open_studio(
    settings: StudioSettings,
    told: Callable[[str], None] = print,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Load the model, and show the pages until SIGINT or SIGTERM; `told` hears where they are.

    Raises:
        DinaError: settings that could not run, a model that is none, a library that is missing.
        OSError: an address that cannot be listened at.
    """
    settings.check()
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise DinaError(f"studio: {', '.join(missing)} not installed; accepted: pip install 'dina-lrm[studio]'")
    with listening_socket(settings.door) as listening:
        with collector_at_rest():
            from dina_lrm.studio.server import run_studio
        run_studio(settings, told, listening, device, dtype)
