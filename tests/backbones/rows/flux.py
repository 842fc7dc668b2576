from typing import Any

import torch
from diffusers import FluxPipeline
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.settings import BackboneConfig
from tests.backbones.case import FamilyCase, Hooks, scaled_mode, unpacked
from tests.tiny.flux import saved_flux_pipeline, tiny_flux_pipeline


def packed_by_the_pipeline(latents: Tensor) -> Tensor:
    return FluxPipeline._pack_latents(latents, *latents.shape)


def hooked(pipeline: Any, arguments: dict[str, Any], config: BackboneConfig) -> Features:
    transformer = pipeline.transformer
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks][: config.depth]
    run = Hooks(transformer, blocks, "time_text_embed").run(arguments)
    states = run.outputs | {0: (run.inputs["encoder_hidden_states"], run.inputs["hidden_states"])}
    return Features(
        tuple(states[n][1] for n in config.visual_taps), tuple(states[n][0] for n in config.text_taps), run.watched
    )


def call(pipeline: Any, latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> dict[str, Any]:
    batch, _, height, width = latents.shape
    guided = pipeline.transformer.config.guidance_embeds
    return {
        "hidden_states": packed_by_the_pipeline(latents),
        "timestep": timestep / 1000,
        "guidance": torch.full((batch,), 3.5) if guided else None,
        "encoder_hidden_states": conditioning.prompt_embeds,
        "pooled_projections": conditioning.pooled_prompt_embeds,
        "txt_ids": torch.zeros(conditioning.prompt_embeds.shape[1], 3),
        "img_ids": pipeline._prepare_latent_image_ids(batch, height // 2, width // 2, "cpu", torch.float32),
    }


def flux_case(name: str, guidance: bool, depth: int, adapted: int, compiled: bool = False) -> FamilyCase:
    config = BackboneConfig("flux", "tiny", depth, (0, 1, depth), (0, depth), prompt_length=5)

    def sampled(pipeline: Any, prompt: str, latents: Tensor, level: float, output_type: str = "latent") -> Tensor:
        images = pipeline(prompt, latents=packed_by_the_pipeline(latents), num_inference_steps=1, sigmas=[level],
                          output_type=output_type, max_sequence_length=5, height=32, width=32).images  # fmt: skip
        return unpacked(images, latents) if output_type == "latent" else images

    def encoded(pipeline: Any, prompts: Any) -> tuple[list[Tensor], Tensor]:
        embeds, pooled, _ = pipeline.encode_prompt(list(prompts), max_sequence_length=5)
        return list(embeds), pooled

    return FamilyCase(
        name,
        config,
        pipeline=lambda: tiny_flux_pipeline(guidance),
        save=lambda folder: saved_flux_pipeline(folder, guidance),
        hooked=lambda pipeline, arguments: hooked(pipeline, arguments, config),
        call=call,
        velocity=lambda output, latents: unpacked(output.sample, latents),
        sampled=sampled,
        encoded=encoded,
        latents_of_pixels=scaled_mode,
        adapted=adapted,
        same=(
            *("hidden_states", "timestep", "guidance", "img_ids", "txt_ids"),
            *("encoder_hidden_states", "pooled_projections"),
        ),
        mask=(True,) * 4 + (False,),
        cut=r"tokenizer \(CLIP\): 13 tokens given, 8 kept; tokenizer_2 \(T5\): 12 tokens given, 5 kept",
        coarse=0.4,
        compiled=compiled,
    )


FLUX_CASES = (
    # Two double blocks of 8 projections and a single block of 3: its output is joined with that of its MLP.
    flux_case("flux-dev", guidance=True, depth=3, adapted=2 * 8 + 3, compiled=True),
    flux_case("flux-schnell", guidance=False, depth=2, adapted=2 * 8),
)
