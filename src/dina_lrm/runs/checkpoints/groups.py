"""A group of named tensors in one safetensors file, or in one for each process that held some rows of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dina_lrm.typed import DinaError

_NAME: Final = re.compile(r"(?P<group>.+?)(-(?P<part>\d{5})-of-(?P<parts>\d{5}))?\.safetensors")


def part_suffix(index: int, count: int) -> str:
    """How the file of process `index` of `count` ends."""
    return f"-{index + 1:05}-of-{count:05}"


def group_of(name: str) -> str:
    """The group that a file belongs to."""
    found = _NAME.fullmatch(name)
    return name if found is None else found["group"]


class StoredGroup(Mapping[str, Tensor]):
    """Whole tensors by name, each read when it is asked for: in the order of `files`, their rows make the tensor.

    Raises ValueError, naming the file, for one that is missing or cannot be read.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._holders: dict[str, list[Any]] = {}
        _check_all_parts(files)
        for path in files:
            try:
                file = safe_open(path, framework="pt").__enter__()
            except SafetensorError as error:
                raise DinaError(f"{path}: no readable safetensors file: {error}") from error
            for name in file.keys():
                self._holders.setdefault(name, []).append(file)

    def __getitem__(self, name: str) -> Tensor:
        """All rows of a tensor, in main memory."""
        rows: list[Tensor] = [file.get_tensor(name) for file in self._holders[name]]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def __iter__(self) -> Iterator[str]:
        """The names of the tensors."""
        return iter(self._holders)

    def __len__(self) -> int:
        """How many tensors there are."""
        return len(self._holders)


def _check_all_parts(files: Sequence[Path]) -> None:
    found = [match for path in files if (match := _NAME.fullmatch(path.name)) is not None and match["parts"]]
    if not found:
        return
    count = int(found[0]["parts"])
    missing = sorted({*range(1, count + 1)} - {int(match["part"]) for match in found})
    if missing or len(found) != len(files):
        told = f"{found[0]['group']} has {len(found)} of {count} parts"
        raise DinaError(f"{files[0].parent}: not a whole checkpoint: {told}")
