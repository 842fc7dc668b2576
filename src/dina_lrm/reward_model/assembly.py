"""The parts of a reward model, made from its configuration."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from dina_lrm.backbones.registry import load_backbone
from dina_lrm.heads.base import Head
from dina_lrm.heads.table import build_head
from dina_lrm.model_folders import one_load_at_a_time
from dina_lrm.precision import default_device
from dina_lrm.reward_model.config import RewardModelConfig

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

    from dina_lrm.backbones.base import Backbone

_log = logging.getLogger(__name__)


def backbone_of(
    config: RewardModelConfig,
    pipeline: DiffusionPipeline | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Backbone:
    """The backbone, standalone or sharing `pipeline`; on the CPU it is float32 unless `dtype` says otherwise.

    The device "auto" is the first there is of cuda, xpu, mps and cpu.
    """
    device = default_device() if device == "auto" else device
    # In bfloat16 a score would depend by 1e-3 on the batch it is in: on the CPU that has to be asked for.
    if dtype is None and pipeline is None and torch.device(device or "cpu").type == "cpu":
        dtype = torch.float32
    found = load_backbone(config.backbone, pipeline=pipeline, device=device, dtype=dtype)
    _log.debug("%s: %s, in %s on %s", config.backbone.pretrained, config.backbone.family, found.dtype, found.device)
    return found


def fresh_head(config: RewardModelConfig, backbone: Backbone, seed: int = 0) -> Head:
    """A head for the backbone's features, float32, its weights a function of `seed`."""
    with one_load_at_a_time(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = build_head(config.head, backbone, len(config.names))
    return head.to(backbone.device)
