"""Published weights of judges: files of tensors, read without running code, and put into modules strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dina_lrm.reward_model.formats.stored import copy_strictly
from dina_lrm.runs.tensor_files import load_tensors, load_torch_file
from dina_lrm.typed import DinaError

_INSIDE = ("state_dict", "model", "module")
"""Entries that publishers put a state dict into."""


def only_file(folder: Path, *patterns: str) -> Path:
    """The one file of a folder that matches the first pattern with any match. Raises ValueError for none or several."""
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            raise DinaError(f"{folder}: {len(found)} files {pattern} ({', '.join(f.name for f in found)}); keep one")
    raise DinaError(f"{folder}: no weights; accepted: a file {' or '.join(patterns)}")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a safetensors or torch file; entries such as "state_dict" around them are opened.

    Raises ValueError for a file that holds code or anything else but tensors: it is never unpickled.
    """
    if path.suffix == ".safetensors":
        return load_tensors(path)
    try:
        found = load_torch_file(path)
    except ValueError as error:
        raise DinaError(
            f"{error}. Where the file is "
            "trusted, save its state dict once: torch.save(torch.load(FILE, weights_only=False).state_dict(), NEW)"
        ) from error
    return _tensors(path, found)


def fill(module: nn.Module, tensors: Mapping[str, Tensor], where: str, unused: Sequence[str] = ()) -> None:
    """Copy tensors into a module, all of them and nothing else (ValueError naming the first that differ).

    Tensors whose name begins with one of `unused` belong to parts that a score does not need.
    """
    own = {name: tensor for name, tensor in module.state_dict().items() if not _computed(name)}
    wanted = {name: t for name, t in tensors.items() if not name.startswith(tuple(unused)) and not _computed(name)}
    copy_strictly(where, own, wanted)


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def refuse_others(tensors: Mapping[str, Tensor], known: tuple[str, ...], where: str) -> None:
    """Raise ValueError naming tensors whose names begin with none of `known`."""
    rest = [name for name in tensors if not name.startswith(known)]
    if rest:
        raise DinaError(f"{where}: unexpected tensors: {', '.join(rest[:5])}")


def _computed(name: str) -> bool:
    """Whether a buffer follows from the shape of the model."""
    return name.endswith(("position_ids", "attn_mask", "inv_freq"))


def _tensors(path: Path, found: Any) -> dict[str, Tensor]:  # noqa: ANN401 - whatever a file holds
    while isinstance(found, Mapping):
        inner = next((found[name] for name in _INSIDE if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            break
        found = inner
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise DinaError(f"{path}: holds a {type(found).__name__}; accepted: tensors by name")
    return dict(found)
