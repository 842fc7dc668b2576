"""From the plain values of a `TrainConfig` to the objects of a run."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from dina_lrm.backbones.adapter_files import read_lora_folder
from dina_lrm.precision import compute_dtype
from dina_lrm.preference.likelihood import Thurstone
from dina_lrm.preference.presets import PreferenceObjective, preference_preset
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.formats.ours import backbone_weights, read
from dina_lrm.reward_model.formats.stored import copy_strictly
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.training.config import (
    OptimizerSettings,
    PreferenceSettings,
    TrainConfig,
)
from dina_lrm.training.randomness import BACKBONE, mixed_seed
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

    from dina_lrm.backbones.base import Backbone


LEAST_8BIT: Final = 4096
"""Tensors of fewer numbers keep their moments in float32: 8 bits would save nothing there."""


def preference_objective(settings: PreferenceSettings) -> PreferenceObjective:
    """The preference model and loss that are minimised."""
    if settings.name == "thurstone":
        objective = PreferenceObjective(Thurstone(k=settings.k, variance_floor=settings.variance_floor))
    else:
        objective = preference_preset(settings.name)
    if settings.loss is None or settings.loss == objective.loss:
        return objective
    return PreferenceObjective(objective.model, settings.loss)


def reward_model_config(config: TrainConfig) -> RewardModelConfig:
    """What the trained model will be saved as."""
    model, adaptation = config.model, config.adaptation
    return RewardModelConfig(
        backbone=model.backbone,
        head=model.chosen_head,
        lora=adaptation.lora if adaptation.kind == "lora" else None,
        own_backbone=adaptation.kind == "full",
        preference=preference_objective(config.objective.preference).model,
        noise_level=model.noise_level,
        ensemble_levels=model.ensemble_levels,
        resolution=model.resolution,
        scores=model.scores,
        main_score=model.main_score,
        buckets=model.sizes.words,
    )


def build_model(
    config: TrainConfig, device: torch.device, pipeline: DiffusionPipeline | None = None
) -> LatentRewardModel:
    """The model to be trained: only what learns requires gradients, and that in float32."""
    wanted = reward_model_config(config)
    dtype = torch.float32 if wanted.own_backbone else compute_dtype(config.compute.precision, device)
    if config.adaptation.random_backbone:
        model = _with_random_backbone(wanted, config.seed, device, dtype, pipeline)
    else:
        model = LatentRewardModel.build(wanted, pipeline, device, dtype, config.seed)
    if config.initial is not None:
        begin_from(model, config.initial)
    model.head.requires_grad_(True)
    if config.adaptation.precision == "bf16":
        model.backbone.set_lora_dtype(torch.bfloat16)
    if config.compute.gradient_checkpointing:
        model.backbone.enable_gradient_checkpointing()
    if config.compute.attention_backend is not None:
        model.backbone.set_attention_backend(config.compute.attention_backend)
    if config.compute.linears != "full":
        model.backbone.multiply_in(config.compute.linears)
    if config.compute.compile:
        model.backbone.compile_blocks()
    return model.to(device).train()


def begin_from(model: LatentRewardModel, name: str) -> None:
    """Copy head and adaptation of a stored reward model into one that is to be trained.

    Raises:
        ValueError: for a model of another architecture, naming the part that differs.
    """
    stored = read(name)
    wanted, found = model.config, stored.config
    # The same generator may lie in another place
    moved = replace(found.backbone, pretrained=wanted.backbone.pretrained, revision=wanted.backbone.revision)
    pairs: dict[str, tuple[object, object]] = {
        "backbone": (wanted.backbone, moved),
        "head": (wanted.head, found.head),
        "LoRA": (wanted.lora, found.lora),
        "own backbone": (wanted.own_backbone, found.own_backbone),
        "scores": (wanted.names, found.names),
    }
    for part, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise DinaError(f"initial {name!r}: its {part} is {theirs}; accepted: {ours}, as the run's")
    copy_strictly("head", model.head.state_dict(), stored.head)
    if stored.lora is not None:
        model.backbone.load_lora_state_dict(read_lora_folder(stored.lora)[1])
    if stored.backbone is not None:
        copy_strictly("backbone", backbone_weights(model.backbone), stored.backbone)


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """What an optimiser step changes, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def build_optimizer(model: LatentRewardModel, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """AdamW with the head in a group of its own; each group keeps its full rate as `base_lr`."""
    head = [parameter for parameter in model.head.parameters() if parameter.requires_grad]
    chosen = {id(parameter) for parameter in head}
    rest = [parameter for parameter in trained_parameters(model).values() if id(parameter) not in chosen]
    rates = ((head, settings.lr if settings.head_lr is None else settings.head_lr), (rest, settings.lr))
    return adamw([{"params": part, "lr": lr, "base_lr": lr} for part, lr in rates if part], settings)


def adamw(groups: Sequence[Mapping[str, Any]], settings: OptimizerSettings) -> torch.optim.Optimizer:
    """AdamW over groups of parameters, each with its own `lr`.

    The moments of "8bit" are numbers of 8 bits with a scale for each block of 256 of them (Dettmers et al., arXiv
    2110.02861). Raises ValueError where bitsandbytes is not installed.
    """
    common: dict[str, Any] = {"betas": settings.betas, "eps": settings.eps, "weight_decay": settings.weight_decay}
    rows = [dict(group) for group in groups]
    match settings.kind:
        case "fused":
            return torch.optim.AdamW(rows, fused=True, **common)
        case "foreach":
            return torch.optim.AdamW(rows, foreach=True, **common)
        case "8bit":
            return _eight_bit(rows, common)


def _eight_bit(rows: list[dict[str, Any]], common: Mapping[str, Any]) -> torch.optim.Optimizer:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise DinaError(
            "optimizer.kind: '8bit' needs bitsandbytes, which is not installed (pip install bitsandbytes); "
            "accepted without it: fused, foreach"
        )
    bitsandbytes: Any = importlib.import_module("bitsandbytes")

    class AdamW8bit(bitsandbytes.optim.AdamW8bit):
        """Takes its count of steps back as the tensor that a checkpoint makes of it."""

        def load_state_dict(self, state_dict: dict[str, Any], move_to_device: bool = True) -> None:
            state = {
                number: {name: int(value) if name == "step" else value for name, value in entries.items()}
                for number, entries in state_dict["state"].items()
            }
            super().load_state_dict({**state_dict, "state": state}, move_to_device)

    made: torch.optim.Optimizer = AdamW8bit(rows, min_8bit_size=LEAST_8BIT, **common)
    return made


def reinitialise(backbone: Backbone, seed: int) -> None:
    """Draw anew, from `seed`, every backbone weight that requires gradients, as its layer type does by default."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(mixed_seed(seed, BACKBONE))
        for name, module in backbone.named_modules():
            if any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
                _reset(name, module)


def _reset(name: str, module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding | nn.LayerNorm | nn.GroupNorm):
        module.reset_parameters()
        return
    for kind, parameter in module.named_parameters(recurse=False):
        if parameter.ndim != 1:
            raise DinaError(f"random_backbone: no fresh start is known for {name}.{kind} of {type(module).__name__}")
        parameter.fill_(1.0 if kind == "weight" else 0.0)


def _with_random_backbone(
    wanted: RewardModelConfig,
    seed: int,
    device: torch.device,
    dtype: torch.dtype,
    pipeline: DiffusionPipeline | None,
) -> LatentRewardModel:
    if pipeline is not None:
        raise DinaError("adaptation.random_backbone: got a shared pipeline, whose weights must stay; train without it")
    # Built with all weights its own, so that exactly those that the features use are open and drawn anew
    model = LatentRewardModel.build(replace(wanted, lora=None, own_backbone=True), None, "cpu", torch.float32, seed)
    reinitialise(model.backbone, seed)
    if not wanted.own_backbone:
        model.backbone.freeze()
        model.backbone.to(dtype)
    if wanted.lora is not None:
        model.backbone.add_lora(wanted.lora, seed)
    model.config = wanted
    return model.to(device)
