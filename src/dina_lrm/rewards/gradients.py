"""Which rewards can have no gradient, known by their names. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dina_lrm.rewards.addresses import without_password
from dina_lrm.rewards.relative_name import inner_name
from dina_lrm.typed import DinaError

WITHOUT_GRADIENT: Final = ("remote", "image", "hpsv3", "vlm", "jpeg-size")
"""Families whose scores have none, whatever is loaded."""


def check_gradient(names: Iterable[str]) -> None:
    """Raise ValueError for a reward that can have no gradient, before anything is loaded."""
    for name in names:
        if inner_name(name).partition(":")[0] in WITHOUT_GRADIENT:
            told = f"reward {without_password(name)!r} has no gradient, which ReFL and guidance need"
            raise DinaError(f"{told}; accepted: latent:MODEL, or a differentiable reward of pictures")
