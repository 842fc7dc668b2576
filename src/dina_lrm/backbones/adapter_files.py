"""A LoRA as a PEFT folder: `adapter_config.json` and `adapter_model.safetensors`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.runs.files import save_tensors, write_text
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.tensor_files import load_tensors
from dina_lrm.typed import DinaError, from_plain

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_UNSUPPORTED: Mapping[str, object] = {
    "use_dora": False,
    "use_rslora": False,
    "lora_bias": False,
    "fan_in_fan_out": False,
    "bias": "none",
    "rank_pattern": {},
    "alpha_pattern": {},
    "modules_to_save": None,
}
"""Settings that change what the tensors mean, with the only value that is read."""


def write_lora_folder(folder: Path, settings: LoraSettings, tensors: Mapping[str, Tensor], pretrained: str) -> None:
    """Write the folder, so that PEFT reads it too."""
    # Brings in PEFT and diffusers, which a folder that is only read does not need
    from dina_lrm.backbones.adapters import peft_config

    folder.mkdir(parents=True, exist_ok=True)
    config = peft_config(settings, pretrained)
    config.inference_mode = True
    config.save_pretrained(str(folder))
    _sort_names(folder / CONFIG_FILE)
    save_tensors(folder / WEIGHTS_FILE, tensors)


def _sort_names(path: Path) -> None:
    """PEFT writes sets in an order that differs from process to process; equal settings shall give equal files."""
    values = json.loads(path.read_text())
    lists = {name: sorted(values[name]) for name in ("target_modules", "exclude_modules") if values.get(name)}
    write_text(path, json.dumps(values | lists, indent=2, sort_keys=True))


def read_lora_folder(folder: Path) -> tuple[LoraSettings, dict[str, Tensor]]:
    """Settings and tensors of a PEFT LoRA folder.

    Raises FileNotFoundError for a missing file, ValueError for another adapter type or a variant of LoRA.
    """
    config = read_json_object(folder / CONFIG_FILE)
    where = folder / CONFIG_FILE
    if config.get("peft_type") != "LORA":
        raise DinaError(f"{where}: got peft_type {config.get('peft_type')!r}, expected 'LORA'")
    for name, accepted in _UNSUPPORTED.items():
        if config.get(name, accepted) not in (accepted, None):
            raise DinaError(f"{where}: got {name}={config[name]!r}, only {accepted!r} is supported")
    for name in ("r", "lora_alpha"):
        if name not in config:
            raise DinaError(f"{where}: {name} is missing; accepted: the configuration of a LoRA, as PEFT writes it")
    values = {
        "rank": config["r"],
        "alpha": config["lora_alpha"],
        "targets": _names(config.get("target_modules"), f"{where}: got target_modules"),
        "dropout": config.get("lora_dropout", 0.0),
        "init": "gaussian" if config.get("init_lora_weights") == "gaussian" else True,
        "exclude": _names(config.get("exclude_modules") or [], f"{where}: got exclude_modules"),
    }
    settings, tensors = from_plain(LoraSettings, values, str(where)), load_tensors(folder / WEIGHTS_FILE)
    _check_ranks(settings.rank, tensors, where)
    return settings, tensors


def _check_ranks(rank: int, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Before any module of that rank is made, whose size would be whatever the file says."""
    for name, tensor in tensors.items():
        if ".lora_A." in name and tensor.shape[:1] != (rank,):
            raise DinaError(f"{where}: got r={rank}, but {name} of {WEIGHTS_FILE} has shape {tuple(tensor.shape)}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Inside, a ValueError about what a file says begins with its path."""
    try:
        yield
    except ValueError as error:
        raise DinaError(f"{path}: {error}") from error


def _names(given: object, where: str) -> list[str]:
    """PEFT stores a set, whose order means nothing; sorted, so that equal files give equal settings."""
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise DinaError(f"{where}={given!r}, expected a list of module names")
    return sorted(given)
