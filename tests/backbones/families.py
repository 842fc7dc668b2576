"""One row for each family: what the conformance suite needs to know of it. A new family adds a row, and no test."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dina_lrm.backbones.base import Backbone, BackboneConfig, Conditioning, Features, LoraSettings
from dina_lrm.backbones.registry import load_backbone
from tests.tiny import saved_tiny_pipeline, tiny_sd3_pipeline

PROMPTS = ("a red cube", "the large blue ball", "green table on the left")


@dataclass(frozen=True)
class FamilyCase:
    """`config.pretrained` is a placeholder for the folder."""

    name: str
    config: BackboneConfig
    pipeline: Callable[[], Any]
    save: Callable[[Path], Path]
    hooked: Callable[[Any, dict[str, Any]], Features]
    """The same features by plain forward hooks on an untouched pipeline's transformer."""
    call: Callable[[Any, Tensor, Tensor, Conditioning], dict[str, Any]]
    """Arguments with which the family's own pipeline calls its transformer: of (pipeline, latents, timestep, ...)."""
    adapted: int
    """Modules that the family's own LoRA targets name within the depth."""
    compiled: bool = False
    """Whether the compile test, which takes minutes, takes this row; one for each family will do."""

    def shared(self, pipeline: Any) -> Backbone:
        return load_backbone(self.config, pipeline=pipeline)

    def standalone(self, folder: Path, dtype: torch.dtype = torch.float32, **changes: Any) -> Backbone:
        return load_backbone(replace(self.config, pretrained=str(folder), **changes), dtype=dtype)


def hooked_sd3(pipeline: Any, arguments: dict[str, Any], depth: int, visual: tuple, text: tuple) -> Features:
    transformer, states, embedding = pipeline.transformer, {}, []

    def before(module, args, kwargs):
        states[0] = kwargs["encoder_hidden_states"], kwargs["hidden_states"]

    def after(number):
        return lambda module, args, kwargs, output: states.__setitem__(number, output)

    blocks = transformer.transformer_blocks
    handles = [blocks[0].register_forward_pre_hook(before, with_kwargs=True)]
    handles += [blocks[i].register_forward_hook(after(i + 1), with_kwargs=True) for i in range(depth)]
    handles.append(transformer.time_text_embed.register_forward_hook(lambda m, a, output: embedding.append(output)))
    try:
        transformer(**arguments)
    finally:
        for handle in handles:
            handle.remove()
    return Features(tuple(states[n][1] for n in visual), tuple(states[n][0] for n in text), embedding[0])


def call_sd3(pipeline: Any, latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> dict[str, Any]:
    return {
        "hidden_states": latents,
        "timestep": timestep,
        "encoder_hidden_states": conditioning.prompt_embeds,
        "pooled_projections": conditioning.pooled_prompt_embeds,
    }


def sd3_case(
    name: str, dual: bool, t5: bool, adapted: int, depth: int, text_taps: tuple[int, ...], compiled: bool = False
) -> FamilyCase:
    config = BackboneConfig("sd3", "tiny", depth, (0, 1, depth), text_taps, prompt_length=5 if t5 else 0)
    return FamilyCase(
        name,
        config,
        pipeline=lambda: tiny_sd3_pipeline(dual=dual, t5=t5),
        save=lambda folder: saved_tiny_pipeline(folder, dual=dual, t5=t5),
        hooked=lambda pipeline, call: hooked_sd3(pipeline, call, depth, config.visual_taps, config.text_taps),
        call=call_sd3,
        adapted=adapted,
        compiled=compiled,
    )


FAMILY_CASES = (
    # Joint attention has 8 projections, the dual attention of the first two blocks 4 more.
    sd3_case("sd35-medium", dual=True, t5=False, adapted=3 * 8 + 2 * 4, depth=3, text_taps=(0, 2, 3), compiled=True),
    sd3_case("sd3-with-t5", dual=False, t5=True, adapted=2 * 8, depth=2, text_taps=(1, 2)),
    # All blocks: the last one has no text output, and no projection for it.
    sd3_case("sd35-whole", dual=True, t5=False, adapted=4 * 8 - 1 + 2 * 4, depth=4, text_taps=(3,)),
)

SETTINGS = LoraSettings(rank=2, alpha=4.0)

FROZEN_LORA = 2e-6
"""Tolerance between a LoRA that requires gradients and the same one that does not: torch.matmul folds the batch into
the rows for the first and may multiply item by item for the second, and on some processors the two round differently.
"""


def latents_of(height: int = 8, width: int = 8, batch: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(batch, 16, height, width, generator=torch.Generator().manual_seed(seed))


def levels_of(*values: float) -> Tensor:
    return torch.tensor(values or (0.1, 0.4, 1.0))


def randomize_lora(backbone: Backbone, seed: int = 1, scale: float = 0.3) -> None:
    """Give the LoRA an effect: its B factors start at zero."""
    generator = torch.Generator().manual_seed(seed)
    tensors = backbone.lora_state_dict()
    backbone.load_lora_state_dict(
        {name: scale * torch.randn(t.shape, generator=generator) for name, t in tensors.items()}
    )


def tensors_of(features: Features) -> tuple[Tensor, ...]:
    return (*features.visual, *features.text, features.time_embedding)


def assert_equal(features: Features, other: Features) -> None:
    pairs = list(zip(tensors_of(features), tensors_of(other), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs), [float((a - b).abs().max()) for a, b in pairs]


def assert_close(features: Features, other: Features, tolerance: float = 1e-5) -> None:
    for a, b in zip(tensors_of(features), tensors_of(other), strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance, check_dtype=False)


def differ(features: Features, other: Features) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(tensors_of(features), tensors_of(other), strict=True))
