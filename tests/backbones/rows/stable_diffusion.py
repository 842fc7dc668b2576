from collections.abc import Callable
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionXLPipeline
from einops import rearrange
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.settings import BackboneConfig
from tests.backbones.case import FamilyCase
from tests.tiny_unets import UNET_CHANNELS, saved, tiny_sd_pipeline, tiny_sdxl_pipeline


def hooked(pipeline: Any, arguments: dict[str, Any], config: BackboneConfig) -> Features:
    unet, embedding = pipeline.unet, []
    maps: dict[int, Tensor] = {}
    ends = [(block.attentions if vars(block).get("has_cross_attention") else block.resnets)[-1]
            for block in unet.down_blocks]  # fmt: skip

    def keep(tap: int) -> Callable[..., None]:
        return lambda module, args, output: maps.__setitem__(tap, output if torch.is_tensor(output) else output[0])

    handles = [unet.conv_in.register_forward_hook(keep(0)), unet.mid_block.register_forward_hook(keep(len(ends) + 1))]
    handles += [end.register_forward_hook(keep(i + 1)) for i, end in enumerate(ends)]
    handles.append(
        unet.down_blocks[0].register_forward_pre_hook(
            lambda module, args, kwargs: embedding.append(kwargs["temb"]), with_kwargs=True
        )
    )
    try:
        unet(**arguments)
    finally:
        for handle in handles:
            handle.remove()
    visual = tuple(rearrange(maps[tap], "b c h w -> b (h w) c") for tap in config.visual_taps)
    return Features(visual, (arguments["encoder_hidden_states"],) * len(config.text_taps), embedding[0])


def call(pipeline: Any, latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> dict[str, Any]:
    arguments = {"sample": latents, "timestep": timestep, "encoder_hidden_states": conditioning.prompt_embeds}
    if pipeline.unet.config.addition_embed_type == "text_time":
        height, width = (4 * side for side in latents.shape[-2:])
        sizes = torch.tensor([[height, width, 0, 0, height, width]] * len(latents), dtype=latents.dtype)
        added = {"text_embeds": conditioning.pooled_prompt_embeds, "time_ids": sizes}
        return arguments | {"added_cond_kwargs": added}
    return arguments


def sampled(pipeline: Any, prompt: str, latents: Tensor, level: float, output_type: str = "latent") -> Tensor:
    # A single DDIM step with this offset goes from there to the clean end: timesteps count from 0, levels from 1/1000
    pipeline.scheduler = DDIMScheduler.from_config(
        pipeline.scheduler.config, steps_offset=max(round(1000 * level) - 1, 0), set_alpha_to_one=True,
        clip_sample=False, timestep_spacing="leading",
    )  # fmt: skip

    def after(pipeline: Any, step: int, timestep: Any, state: dict[str, Any]) -> dict[str, Any]:
        # The first timestep has some noise already; at level 0 nothing is to be taken away
        return state if level else {"latents": latents}

    return pipeline(prompt, latents=latents, num_inference_steps=1, guidance_scale=1.0, output_type=output_type,
                    height=32, width=32, callback_on_step_end=after).images  # fmt: skip


def encoded(pipeline: Any, prompts: Any) -> tuple[list[Tensor], Tensor]:
    device = torch.device("cpu")
    embeds, _, *pooled = pipeline.encode_prompt(
        list(prompts), device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    if isinstance(pipeline, StableDiffusionXLPipeline):
        return list(embeds), pooled[0]
    # The state at the end mark, behind begin and the words
    ends = [len(prompt.split()) + 1 for prompt in prompts]
    return list(embeds), embeds[torch.arange(len(ends)), ends]


def unet_case(
    name: str, pipeline: Callable[[], Any], depth: int, adapted: int, text: bool = True, compiled: bool = False
) -> FamilyCase:
    taps = tuple(range(depth + 1))
    config = BackboneConfig("stable-diffusion", "tiny", depth, taps, (0,) if text else (), prompt_length=0)
    sdxl = name == "sdxl"
    return FamilyCase(
        name,
        config,
        pipeline=pipeline,
        save=lambda folder: saved(pipeline(), folder),
        hooked=lambda pipeline, arguments: hooked(pipeline, arguments, config),
        call=call,
        velocity=lambda output, latents: output.sample,
        sampled=sampled,
        encoded=encoded,
        latents_of_pixels=lambda pipeline, pixels: pipeline.vae.encode(pixels).latent_dist.mode() * 0.18215,
        adapted=adapted,
        same=("sample", "timestep", "encoder_hidden_states", *(("added_cond_kwargs",) if sdxl else ())),
        # Begin, three words, end
        mask=(True,) * 5 + (False,) * 3,
        cut=r"tokenizer \(CLIP\): 13 tokens given, 8 kept"
        + (r"; tokenizer_2 \(CLIP\): 13 tokens given, 8 kept" if sdxl else "$"),
        component="unet",
        # The last resolution has no downsampler: both its end and the mid block are maps of half the size
        strides=(1, 1, 2, 2)[: depth + 1],
        predicts_noise=name != "sd21-v",
        reads_pooled=sdxl,
        encoder_configs=True,
        channels=UNET_CHANNELS,
        query="attn1.to_q",
        compiled=compiled,
    )


# An attention block of a U-Net has two attentions (itself, text) of four projections for each of its layers
STABLE_DIFFUSION_CASES = (
    unet_case("sd15", tiny_sd_pipeline, depth=3, adapted=2 * 8 + 8, compiled=True),
    unet_case("sd21-v", lambda: tiny_sd_pipeline(v_prediction=True), depth=2, adapted=2 * 8, text=False),
    unet_case("sdxl", tiny_sdxl_pipeline, depth=3, adapted=2 * 2 * 8 + 2 * 8),
)
