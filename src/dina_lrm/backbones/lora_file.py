"""A generator's LoRA from a file, in whichever layout it is written: diffusers, PEFT, kohya, ComfyUI."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import DiffusionPipeline
from diffusers.loaders.lora_base import LORA_WEIGHT_NAME_SAFE
from diffusers.loaders.lora_pipeline import FluxLoraLoaderMixin
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from dina_lrm.backbones.adapter_files import CONFIG_FILE, WEIGHTS_FILE
from dina_lrm.backbones.lora_names import ModuleNames, Part, tensor_name
from dina_lrm.runs.json_files import parse_json, read_json_object
from dina_lrm.typed import DinaError, from_plain

_METADATA: Final = "lora_adapter_metadata"
"""Where diffusers keeps what PEFT writes into adapter_config.json."""
_SETTINGS: Final = {"peft_type": "LORA", "use_dora": False, "fan_in_fan_out": False}
"""Settings that change what the tensors mean, with the only value that is read."""
Raw = dict[str, dict[Part, Tensor]]
"""By module, as the file spells it."""


@dataclass(frozen=True)
class Scaling:
    """What PEFT's configuration says of alpha: one for all modules, others by expressions that end their names."""

    lora_alpha: float | None = None
    alpha_pattern: dict[str, float] | None = None
    use_rslora: bool | None = None

    def __post_init__(self) -> None:
        for pattern in self.alpha_pattern or {}:
            try:
                re.compile(pattern)
            except re.error as error:
                raise DinaError(f"alpha_pattern {pattern!r}: no regular expression ({error})") from error

    def of(self, module: str) -> tuple[float | None, bool]:
        """The alpha of a module, None where none is given, and whether the root of the rank divides it."""
        patterns = self.alpha_pattern or {}
        own = next((alpha for key, alpha in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), None)
        return self.lora_alpha if own is None else own, bool(self.use_rslora)


@dataclass(frozen=True, eq=False)
class Update:
    """The update of a module: `up @ down`, its scale alpha / rank inside `up`; float32."""

    down: Tensor
    up: Tensor

    @property
    def rank(self) -> int:
        """Rows of `down`."""
        return self.down.shape[0]

    @property
    def finite(self) -> bool:
        """Whether both factors are without NaN and infinity."""
        return bool(self.up.isfinite().all() and self.down.isfinite().all())


@dataclass(frozen=True, eq=False)
class GeneratorLora:
    """The updates of a model's modules by name, and how many modules of text encoders the file has beside them."""

    path: Path
    updates: Mapping[str, Update]
    of_text_encoders: int

    def tensors(self) -> dict[str, Tensor]:
        """Under PEFT's names."""
        named = {f"{name}.lora_A.weight": update.down for name, update in self.updates.items()}
        return named | {f"{name}.lora_B.weight": update.up for name, update in self.updates.items()}

    def peft_settings(self) -> dict[str, object]:
        """Return settings of PEFT's `LoraConfig`: each module by its whole name, with its own rank and the factor 1."""
        ranks = {f"^{re.escape(name)}$": update.rank for name, update in self.updates.items()}
        return {
            "r": next(iter(ranks.values())),
            "lora_alpha": next(iter(ranks.values())),
            "rank_pattern": ranks,
            "alpha_pattern": dict(ranks),
            "target_modules": "|".join(re.escape(name) for name in self.updates),
        }


def find_lora(name: str | Path) -> Path | None:
    """The file of the LoRA that a path names: a file, a folder of one, or that of an alignment run; None for others.

    Raises ValueError for a folder with several files, of which none is called as diffusers or PEFT call it.
    """
    place = Path(name).expanduser()
    if place.is_file():
        return place
    known = (place / LORA_WEIGHT_NAME_SAFE, place / "lora" / LORA_WEIGHT_NAME_SAFE, place / WEIGHTS_FILE)
    first = next((path for path in known if path.is_file()), None)
    if first is not None or (place / "model_index.json").is_file() or not place.is_dir():
        return first
    files = sorted(place.glob("*.safetensors"))
    if len(files) > 1:
        names = ", ".join(path.name for path in files[:5])
        raise DinaError(f"{place}: holds {len(files)} files ({names}); accepted: the name of the LoRA's own file")
    return files[0] if files else None


def read_lora(path: Path, model: nn.Module, pipeline: DiffusionPipeline, finite: bool = True) -> GeneratorLora:
    """Read the LoRA in `path` for `model`, the transformer or U-Net of `pipeline`.

    With `finite` false, one whose training diverged is read too: it can be judged, and gives no pictures.

    Raises:
        ValueError: naming the file, for one that cannot be read or holds no LoRA of this model, for another kind of
            adapter such as DoRA, for an alpha that is not above 0, and (where `finite`) for NaN or infinity.
    """
    tensors, scaling = _stored(path)
    try:
        modules = ModuleNames(model)
        raw = _parts(tensors)
        if _unknown(raw, modules):
            raw = _parts(_converted(tensors, pipeline))
        unknown, learned = _unknown(raw, modules), [name for name in raw if not _of_text_encoder(name)]
        kind = type(model).__name__
        if not learned:
            raise DinaError(f"holds no module of {kind}; accepted: a LoRA of it")
        if unknown:
            other = f"{unknown[0]!r}, one of {len(unknown)} modules that are"
            raise DinaError(f"holds {other} not of {kind}; accepted: a LoRA of it")
        updates: dict[str, Update] = {}
        for spelled in learned:
            name = str(modules.find(spelled))
            if name in updates:
                raise DinaError(f"{spelled!r} is a second update of {name}; accepted: one of each module")
            updates[name] = _update(spelled, raw[spelled], modules.layers[name], scaling.of(name))
            if finite and not updates[name].finite:
                raise DinaError(f"{spelled!r} has NaN or infinity in its factors; accepted: finite numbers")
    except ValueError as error:
        raise DinaError(f"{path}: {error}") from error
    return GeneratorLora(path, updates, len(raw) - len(learned))


def _stored(path: Path) -> tuple[dict[str, Tensor], Scaling]:
    """The tensors of a file, and what PEFT's configuration says of their scale, where there is one."""
    if path.suffix != ".safetensors":
        raise DinaError(f"{path}: is no *.safetensors; accepted: a LoRA in that format, which cannot run code")
    try:
        with safe_open(path, "pt") as file:
            tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise DinaError(f"{path}: cannot be read as safetensors ({error})") from error
    beside, where = path.parent / CONFIG_FILE, f"{path}: {_METADATA}"
    config: dict[str, Any] = {}
    if path.name == WEIGHTS_FILE and beside.is_file():
        config, where = read_json_object(beside), str(beside)
    elif _METADATA in metadata:
        config = _own_settings(parse_json(metadata[_METADATA], where), where)
    for name, accepted in _SETTINGS.items():
        if config.get(name, accepted) not in (accepted, None):
            raise DinaError(f"{where}: {name} is {config[name]!r}; accepted: {accepted!r}, plain LoRA")
    names = {field.name for field in fields(Scaling)}
    return tensors, from_plain(Scaling, {name: config[name] for name in names & config.keys()}, where)


def _own_settings(found: object, where: str) -> dict[str, Any]:
    """Pick, of what diffusers keeps for every part of a pipeline, the settings of its transformer or U-Net."""
    if not isinstance(found, dict):
        raise DinaError(f"{where}: holds a {type(found).__name__}; accepted: the JSON object that diffusers writes")
    own = re.compile(r"^(unet|transformer)\.")
    return {own.sub("", name): value for name, value in found.items() if own.match(name)}


def _parts(tensors: Mapping[str, Tensor]) -> Raw:
    found: Raw = defaultdict(dict)
    for name, tensor in tensors.items():
        place = tensor_name(name)
        found[place.module][place.part] = tensor
    return found


def _of_text_encoder(module: str) -> bool:
    return tensor_name(f"{module}.alpha").of_text_encoder


def _unknown(modules: Iterable[str], known: ModuleNames) -> list[str]:
    return [name for name in modules if not _of_text_encoder(name) and known.find(name) is None]


def _converted(tensors: Mapping[str, Tensor], pipeline: DiffusionPipeline) -> dict[str, Tensor]:
    """The tensors as diffusers translates them, for layouts that join several modules of ours in one."""
    more = {"return_alphas": True} if isinstance(pipeline, FluxLoraLoaderMixin) else {}
    try:
        found = pipeline.lora_state_dict(dict(tensors), **more)
    except Exception as error:
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise DinaError(f"diffusers cannot translate it ({told})") from error
    named, alphas = found if isinstance(found, tuple) else (found, None)
    return {**named, **{name: torch.as_tensor(float(value)) for name, value in (alphas or {}).items()}}


def _update(spelled: str, parts: Mapping[Part, Tensor], layer: nn.Module, scaling: tuple[float | None, bool]) -> Update:
    missing = [part for part in ("down", "up") if part not in parts]
    if missing:
        raise DinaError(f"{spelled!r} has no {missing[0]} factor; accepted: both factors of each module")
    down, up = parts["down"].float(), parts["up"].float()
    rank, (outputs, *inputs) = len(down), _shape(layer)
    if down.shape != (rank, *inputs) or up.shape != (outputs, rank, *(1 for _ in inputs[1:])):
        given = f"{tuple(down.shape)} and {tuple(up.shape)}"
        raise DinaError(f"{spelled!r} has factors of {given}, which does not fit weights of {(outputs, *inputs)}")
    alpha, by_root = (float(parts["alpha"]), False) if "alpha" in parts else scaling
    if alpha is not None and not (math.isfinite(alpha) and alpha > 0):
        raise DinaError(f"{spelled!r} has the alpha {alpha}; accepted: a finite number above 0")
    scale = 1.0 if alpha is None else alpha / (math.sqrt(rank) if by_root else rank)
    up = scale * up
    return Update(down, up)


def _shape(layer: nn.Module) -> tuple[int, ...]:
    if isinstance(layer, nn.Linear):
        # Quantised weights are packed, and have another shape
        return layer.out_features, layer.in_features
    assert isinstance(layer.weight, Tensor)
    return tuple(layer.weight.shape)
