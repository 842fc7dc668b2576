"""Where a generator lies, from whatever names it: a bundled one, a folder, a hub id, or one file of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dina_lrm.locate import locate_generator, locate_generator_configs

ONE_FILE: Final = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
"""Endings of the files that generators are passed on in; all but the first are refused by name."""


def generator_folder(name: str | Path, revision: str | None = None) -> Path:
    """Folder of a generator, a diffusers pipeline; one file of weights is unpacked into one, which is kept.

    Raises ValueError as `locate_generator`, and for a file whose configurations or missing parts cannot be had.
    """
    return _unpacked(name) or locate_generator(name, revision)


def generator_configs(name: str | Path, revision: str | None = None) -> Path:
    """Folder with at least the configurations of a generator, else as `generator_folder`."""
    return _unpacked(name) or locate_generator_configs(name, revision)


def _unpacked(name: str | Path) -> Path | None:
    """The folder that one file was unpacked into; None for a name of anything else."""
    path = Path(name).expanduser()
    if path.suffix.lower() not in ONE_FILE or not path.is_file():
        return None
    from dina_lrm.backbones.single_file import unpacked  # which brings diffusers in, and is for files alone

    return unpacked(path)
