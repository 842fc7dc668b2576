from typing import Any

import torch
from diffusers import QwenImagePipeline
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.settings import BackboneConfig
from tests.backbones.case import FamilyCase, Hooks, unpacked
from tests.tiny.qwen_image import saved_qwen_pipeline, tiny_qwen_pipeline

LENGTH = 12
CONFIG = BackboneConfig("qwen-image", "tiny", 2, (0, 1, 2), (0, 2), prompt_length=LENGTH)


def packed_by_the_pipeline(latents: Tensor) -> Tensor:
    return QwenImagePipeline._pack_latents(latents, *latents.shape)


def hooked(pipeline: Any, arguments: dict[str, Any]) -> Features:
    transformer = pipeline.transformer
    run = Hooks(transformer, transformer.transformer_blocks[: CONFIG.depth], "time_text_embed").run(arguments)
    states = run.outputs | {0: (run.inputs["encoder_hidden_states"], run.inputs["hidden_states"])}
    return Features(
        tuple(states[n][1] for n in CONFIG.visual_taps), tuple(states[n][0] for n in CONFIG.text_taps), run.watched
    )


def call(pipeline: Any, latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> dict[str, Any]:
    batch, _, height, width = latents.shape
    return {
        "hidden_states": packed_by_the_pipeline(latents),
        "timestep": timestep / 1000,
        "encoder_hidden_states": conditioning.prompt_embeds,
        "encoder_hidden_states_mask": conditioning.prompt_mask,
        "img_shapes": [[(1, height // 2, width // 2)]] * batch,
    }


def sampled(pipeline: Any, prompt: str, latents: Tensor, level: float, output_type: str = "latent") -> Tensor:
    images = pipeline(prompt, latents=packed_by_the_pipeline(latents), num_inference_steps=1, sigmas=[level],
                      output_type=output_type, max_sequence_length=LENGTH, true_cfg_scale=1.0, height=32,
                      width=32).images  # fmt: skip
    return unpacked(images, latents) if output_type == "latent" else images


def encoded(pipeline: Any, prompts: Any) -> tuple[list[Tensor], None]:
    return [pipeline.encode_prompt([prompt], max_sequence_length=LENGTH)[0][0] for prompt in prompts], None


def latents_of_pixels(pipeline: Any, pixels: Tensor) -> Tensor:
    mode = pipeline.vae.encode(pixels[:, :, None]).latent_dist.mode()[:, :, 0]
    mean, std = (torch.tensor(pipeline.vae.config[name]) for name in ("latents_mean", "latents_std"))
    return (mode - mean[:, None, None]) * (1 / std[:, None, None])


QWEN_IMAGE_CASES = (
    FamilyCase(
        "qwen-image",
        CONFIG,
        pipeline=tiny_qwen_pipeline,
        save=saved_qwen_pipeline,
        hooked=hooked,
        call=call,
        velocity=lambda output, latents: unpacked(output.sample, latents),
        sampled=sampled,
        encoded=encoded,
        latents_of_pixels=latents_of_pixels,
        adapted=2 * 8,
        # The pipeline pads no single prompt.
        same=("hidden_states", "timestep", "img_shapes"),
        # Three words, and five tokens of the template behind them.
        mask=(True,) * 8 + (False,) * 4,
        cut=r"tokenizer \(with the pipeline's template\): 52 tokens given, 46 kept",
        masked=True,
    ),
)
