"""Tensors of files that somebody else wrote: read without running code, bounded, every error names the file."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from dina_lrm.typed import DinaError

_UNREADABLE = (
    *(RuntimeError, EOFError, OSError, ValueError, TypeError, KeyError, AttributeError),
    *(IndexError, AssertionError, OverflowError, ImportError, zipfile.BadZipFile, SafetensorError),
)
"""What torch.load raises for files that are none of its own."""


def load_tensors(path: Path, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises FileNotFoundError without the file, ValueError for another one."""
    with _named(path):
        return load_file(path, str(device))


@contextmanager
def opened_tensors(path: Path) -> Iterator[Any]:
    """A safetensors file of which single tensors are read; errors as `load_tensors`, inside the block too."""
    with _named(path), safe_open(path, framework="pt") as file:
        yield file


def load_torch_file(path: Path) -> Any:  # noqa: ANN401 - tensors within plain containers
    """What `torch.save` wrote, of tensors and plain containers alone; nothing in it is run.

    Raises FileNotFoundError without the file, ValueError for what is none, holds more, or is compressed: it would fill
    the memory before anybody could say how large it is.
    """
    _expect_file(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                    raise DinaError("it is compressed, as torch.save does not")
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own words advise how to run it
        raise DinaError(
            f"{path}: holds more than tensors, and pickled code is not run; accepted: tensors as torch.save writes them"
        ) from error
    except _UNREADABLE as error:
        raise DinaError(f"{path}: {_first_line(error)}; accepted: tensors as torch.save writes them") from error


@contextmanager
def _named(path: Path) -> Iterator[None]:
    _expect_file(path)
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise DinaError(f"{path}: no readable safetensors file ({_first_line(error)})") from error


def _expect_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines and lines[0] else type(error).__name__
