"""The checkpoint folder released with the paper, read as it is.

config.json                                  the object "model" says what was trained
checkpoint/backbone_lora/                    PEFT LoRA, unless the backbone was frozen or trained as a whole
checkpoint/rm_head.pt                        state dict of the head
checkpoint/full_model.pt                     instead of both, when every weight was trained

Three generators were read that way: Stable Diffusion 3(.5), FLUX.1-dev and Z-Image. The last two not quite as they are
run themselves, which `BackboneConfig.reading` keeps with the model.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dina_lrm.backbones.registry import family_of_folder
from dina_lrm.backbones.settings import PROMPT_LENGTH, BackboneConfig, LoraSettings
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.preference.likelihood import PreferenceModel
from dina_lrm.preference.presets import preference_preset
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.formats.stored import StoredModel, existing
from dina_lrm.runs.tensor_files import load_torch_file
from dina_lrm.typed import DinaError

_READINGS = {"sd3": "own", "flux": "released", "z-image": "released"}
_NEVER_RUN = ("all_final_layer.",)
"""What lies behind the layers of Z-Image is stored with a model trained as a whole, and scores without it."""

_PREFERENCES = {"thurstone": "released", "thurstone-constant": "released-fixed", "bt": "bradley-terry"}
_ETA_START = {"eta3": 0.0, "eta4": 0.15}


def read_released(folder: Path, values: Mapping[str, Any]) -> StoredModel:
    """Translate a released folder whose config.json holds `values`.

    Raises FileNotFoundError naming a missing file, ValueError for a variant that cannot be read.
    """
    where, model = str(folder / "config.json"), values["model"]
    if not isinstance(model, Mapping):
        raise DinaError(f"{where}: 'model' is {model!r}; accepted: an object")
    if not values.get("training", {}).get("add_noise", True):
        raise DinaError(f"{where}: training.add_noise is false; accepted: models that score noisy latents")
    frozen, use_lora = bool(model.get("freeze_backbone", False)), bool(model.get("use_lora", True))
    full = not frozen and not use_lora
    checkpoint = folder / "checkpoint"
    if full:
        backbone, head = _split_full_model(_load(checkpoint / "full_model.pt"))
    else:
        backbone, head = None, _load(checkpoint / "rm_head.pt")
    config = _config(where, model, head, lora=not frozen and use_lora, full=full)
    if isinstance(config.head, QFormerConfig) and config.head.logistic:
        # Beside a LoRA the released code does not store these two, and scores with their starting values.
        head = {name: torch.tensor(start) for name, start in _ETA_START.items()} | head
    return StoredModel(config, head, None if config.lora is None else existing(checkpoint / "backbone_lora"), backbone)


def _config(
    where: str, model: Mapping[str, Any], head: Mapping[str, Tensor], lora: bool, full: bool
) -> RewardModelConfig:
    name = _required(where, model, "backbone_model_id")
    family = _family(where, name)
    text_taps = tuple(model.get("text_head_idx", ()))
    # `use_text_features` alone does not say: the released head reads every text tap that is listed.
    if not model.get("use_text_features", True) and not any(key.startswith("agg_text") for key in head):
        text_taps = ()
    settings = model.get("lora_config") or {}
    return RewardModelConfig(
        backbone=BackboneConfig(
            family=family,
            pretrained=name,
            depth=_required(where, model, "num_transformer_layers"),
            visual_taps=tuple(_required(where, model, "visual_head_idx")),
            text_taps=text_taps,
            prompt_length=PROMPT_LENGTH,  # the folder does not say it
            reading=_READINGS[family],
        ),
        head=_head_config(where, model, use_text=bool(text_taps), mask=family == "z-image"),
        lora=LoraSettings(settings.get("r", 64), float(settings.get("lora_alpha", 128))) if lora else None,
        own_backbone=full,
        preference=_preference(where, model),
        # The authors show (raw + 10) / 10 of their model on Stable Diffusion 3.5, and nothing for the others.
        score_mean=-10.0 if family == "sd3" else 0.0,
        score_std=10.0 if family == "sd3" else 1.0,
        notes={"format": "released with the paper"},
    )


def _family(where: str, name: str) -> str:
    """By the pipeline of a folder, or by the name of a generator on the hub."""
    if (Path(name) / "model_index.json").is_file():
        family = family_of_folder(Path(name))
    else:
        lowered = name.lower()
        others = {"flux": "flux", "z-image": "z-image", "qwen": "qwen-image", "sana": "sana"}
        family = next((other for key, other in others.items() if key in lowered), "sd3")
    if family not in _READINGS:
        accepted = "Stable Diffusion 3 and 3.5, FLUX.1, Z-Image"
        raise DinaError(f"{where}: backbone_model_id is {name!r} (family {family}); accepted: {accepted}")
    return family


def _head_config(where: str, model: Mapping[str, Any], use_text: bool, mask: bool) -> QFormerConfig:
    shape = model.get("reward_head") or {}
    if shape.get("out_dim", 1) != 1:
        raise DinaError(f"{where}: model.reward_head.out_dim is {shape['out_dim']}; accepted: 1")
    width = shape.get("width", -1)
    return QFormerConfig(
        width=None if width == -1 else width,
        queries=shape.get("num_queries", 4),
        attention_heads=shape.get("num_attn_heads", 8),
        use_proj_in=bool(shape.get("use_proj_in", False)),
        use_text=use_text,
        mask_text_padding=mask,
        logistic=bool(model.get("use_logistic", False)),
        dropout=float(shape.get("dropout", 0.0)),
    )


def _preference(where: str, model: Mapping[str, Any]) -> PreferenceModel:
    kind = model.get("model_type", "thurstone")
    if kind not in _PREFERENCES:
        raise DinaError(f"{where}: model.model_type is {kind!r}; accepted: {', '.join(_PREFERENCES)}")
    return preference_preset(_PREFERENCES[kind]).model


def _split_full_model(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    backbone, head = {}, {}
    for name, tensor in tensors.items():
        if name.startswith("backbone."):
            if not name.removeprefix("backbone.").startswith(_NEVER_RUN):
                backbone[name.removeprefix("backbone.")] = tensor
        else:
            head[name.removeprefix("reward_head.")] = tensor
    return backbone, head


def _load(path: Path) -> dict[str, Tensor]:
    tensors = load_torch_file(existing(path))
    if not isinstance(tensors, Mapping) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise DinaError(f"{path}: holds no state dict of tensors")
    return dict(tensors)


def _required(where: str, model: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - a value of any JSON type
    if key not in model:
        raise DinaError(f"{where}: model.{key} is missing")
    return model[key]
