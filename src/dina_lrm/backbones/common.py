"""One generator in memory that several reward models read: only as much of it as the deepest of them uses."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from diffusers import DiffusionPipeline

from dina_lrm.backbones.families import FAMILIES
from dina_lrm.backbones.generator_folder import generator_folder
from dina_lrm.backbones.pipeline_backbone import PipelineBackbone
from dina_lrm.backbones.registry import load_backbone
from dina_lrm.backbones.settings import BackboneConfig, EncoderSettings
from dina_lrm.runs.content import content_of_folder


def can_be_common(config: BackboneConfig) -> bool:
    """Whether other reward models may read what is loaded for this one: those of transformers, not of U-Nets."""
    return config.family in FAMILIES and issubclass(FAMILIES[config.family].load_class(), PipelineBackbone)


def same_generator(first: BackboneConfig, second: BackboneConfig) -> bool:
    """Whether two configurations read the same weights, wherever they lie: files are compared by what they hold."""
    if first.family != second.family:
        return False
    a, b = (generator_folder(each.pretrained, each.revision).resolve() for each in (first, second))
    if a == b:
        return True
    sizes = [sorted((path.relative_to(at), path.stat().st_size) for path in at.rglob("*.safetensors")) for at in (a, b)]
    return sizes[0] == sizes[1] and content_of_folder(a) == content_of_folder(b)


def common_pipeline(
    configs: Sequence[BackboneConfig],
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    *,
    text_encoders: bool = True,
    encoders: EncoderSettings | None = None,
) -> DiffusionPipeline:
    """A pipeline to hand to each of these reward models as `pipeline=`; it cannot sample.

    Its transformer ends behind the deepest block that one of them uses. Without `text_encoders` it has none, and its
    readers can be told prompts as conditioning only; `encoders` says how it holds those that it has.
    Raises ValueError for families of which nothing is common.
    """
    deepest = replace(
        max(configs, key=lambda each: each.depth), prompt_length=max(each.prompt_length for each in configs)
    )
    backbone = load_backbone(deepest, device=device, dtype=dtype)
    assert isinstance(backbone, PipelineBackbone)
    backbone.hold_encoders(encoders or EncoderSettings())
    return backbone.as_pipeline(text_encoders=text_encoders)
