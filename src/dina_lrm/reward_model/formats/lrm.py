"""The weight folders published with LRM (hub: casiatao/LRM, one folder a model), read as they are.

unet/                 the whole fine-tuned U-Net as diffusers writes it; the up blocks in it are passed over
text_encoder/         the fine-tuned CLIP text encoder as transformers writes it
text_encoder_2/       SDXL alone: its second encoder, whose own projection takes the place of `text_projection`
state_dict.pt         {"visual_projection": {"weight"}, "text_projection": {"weight"} but for SDXL, "logit_scale"}

VAE, tokenizers and scheduler are those of the generator that was fine-tuned. What the public training configuration
says and the folder does not: guidance 7.5 on the mid block alone, timesteps 1, 51, ..., 951, images of 512 (SDXL: 1024)
pixels. Scores are compared as they are (Bradley-Terry).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.heads.settings import PooledConfig
from dina_lrm.model_folders import check_model_folder
from dina_lrm.preference.likelihood import BradleyTerry
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.formats.stored import StoredModel, existing, read_json
from dina_lrm.runs.tensor_files import load_tensors, load_torch_file
from dina_lrm.typed import DinaError

STATE = "state_dict.pt"
GENERATORS = {
    768: "stable-diffusion-v1-5/stable-diffusion-v1-5",
    1024: "stabilityai/stable-diffusion-2-1",
    2048: "stabilityai/stable-diffusion-xl-base-1.0",
}
"""By the width of the prompt's states, which is all that the folder says of the generator."""
_UNUSED = ("up_blocks.", "conv_norm_out.", "conv_out.")
CLEANEST = 0.002
"""Noise level of timestep 1 of 1000."""


def is_published_lrm(folder: Path) -> bool:
    """Whether `folder` has LRM's layout."""
    return (folder / STATE).is_file() and (folder / "unet" / "config.json").is_file()


def read_published_lrm(folder: Path) -> StoredModel:
    """Translate a published folder.

    Raises FileNotFoundError naming a missing file, ValueError naming missing, unexpected or misshapen tensors.
    """
    # Brings in diffusers, which a model that is merely named does not need
    from dina_lrm.backbones.weight_files import tensor_files

    for name in ("unet", "text_encoder", "text_encoder_2"):
        check_model_folder(folder / name)
    unet = read_json(folder / "unet" / "config.json")
    two = (folder / "text_encoder_2").is_dir()
    existing(folder / "text_encoder" / "config.json")
    head = _head(folder / STATE, text_projection=not two)
    wanted = {name: path for name, path in tensor_files(folder / "unet").items() if not name.startswith(_UNUSED)}
    weights = {name: tensor for path in set(wanted.values()) for name, tensor in load_tensors(path).items()}
    return StoredModel(
        _config(folder, unet, head, two),
        head,
        backbone={name: weights[name] for name in wanted},
        text_encoders=folder,
    )


def _config(folder: Path, unet: Mapping[str, Any], head: Mapping[str, Tensor], two: bool) -> RewardModelConfig:
    widths = [*unet["block_out_channels"], unet["block_out_channels"][-1]]
    given = head["visual_projection.weight"].shape[1]
    every, mid = tuple(range(1, len(widths) + 1)), (len(widths),)
    taps = {sum(widths): every, widths[-1]: mid}.get(given)
    if taps is None:
        raise DinaError(
            f"{folder / STATE}: visual_projection takes {given} features; accepted: {sum(widths)} (all resolutions of "
            f"the U-Net and its mid block) and {widths[-1]} (the mid block)"
        )
    dim = unet["cross_attention_dim"]
    return RewardModelConfig(
        BackboneConfig(
            family="stable-diffusion",
            pretrained=GENERATORS.get(dim, str(folder)),
            depth=len(widths),
            visual_taps=taps,
            prompt_length=0,
        ),
        head=PooledConfig(width=head["visual_projection.weight"].shape[0], text_projection=not two),
        lora=None,
        own_backbone=True,
        own_text_encoders=True,
        preference=BradleyTerry(),
        noise_level=CLEANEST,
        resolution=1024 if two else 512,
        notes={"format": "published with LRM"},
    )


def _head(path: Path, text_projection: bool) -> dict[str, Tensor]:
    stored = load_torch_file(existing(path))
    wanted = {"visual_projection", "logit_scale", *(("text_projection",) if text_projection else ())}
    if not isinstance(stored, Mapping) or set(stored) != wanted:
        given = sorted(stored) if isinstance(stored, Mapping) else type(stored).__name__
        raise DinaError(f"{path}: holds {given}; accepted: {sorted(wanted)}")
    head = {"logit_scale": stored["logit_scale"].reshape(())}
    for name in sorted(wanted - {"logit_scale"}):
        if set(stored[name]) != {"weight"}:
            raise DinaError(f"{path}: {name} holds {sorted(stored[name])}; accepted: ['weight']")
        head[f"{name}.weight"] = stored[name]["weight"]
    return head
