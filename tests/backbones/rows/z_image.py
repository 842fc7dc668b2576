from typing import Any

import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.settings import BackboneConfig
from tests.backbones.case import FamilyCase, Hooks, scaled_mode
from tests.tiny.z_image import saved_z_image_pipeline, tiny_z_image_pipeline

LENGTH = 16
PADDED = 32
"""The model pads image tokens and captions to multiples of 32."""
CONFIG = BackboneConfig("z-image", "tiny", 2, (0, 1, 2), (0, 2), prompt_length=LENGTH)


def hooked(pipeline: Any, arguments: dict[str, Any]) -> Features:
    transformer = pipeline.transformer
    run = Hooks(transformer, transformer.layers[: CONFIG.depth]).run(arguments)
    states, image = run.outputs | {0: run.arguments[0]}, arguments["x"][0][0].numel() // 4
    first = -(-image // PADDED) * PADDED
    captions = [len(caption) for caption in arguments["cap_feats"]]

    def text(tap: int) -> Tensor:
        rows = torch.zeros(len(captions), LENGTH, states[tap].shape[-1])
        for i, length in enumerate(captions):
            rows[i, :length] = states[tap][i, first : first + length]
        return rows

    return Features(
        tuple(states[n][:, :image] for n in CONFIG.visual_taps),
        tuple(text(n) for n in CONFIG.text_taps),
        run.arguments[3],
    )


def call(pipeline: Any, latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> dict[str, Any]:
    rows = zip(conditioning.prompt_embeds, conditioning.prompt_mask, strict=True)
    return {
        "x": list(latents.unsqueeze(2).unbind()),
        "t": (1000 - timestep) / 1000,
        "cap_feats": [embeds[mask] for embeds, mask in rows],
    }


def sampled(pipeline: Any, prompt: str, latents: Tensor, level: float, output_type: str = "latent") -> Tensor:
    return pipeline(prompt, latents=latents, num_inference_steps=1, sigmas=[level], output_type=output_type,
                    max_sequence_length=LENGTH, guidance_scale=0.0, height=32, width=32).images  # fmt: skip


def encoded(pipeline: Any, prompts: Any) -> tuple[list[Tensor], None]:
    rows, _ = pipeline.encode_prompt(list(prompts), do_classifier_free_guidance=False, max_sequence_length=LENGTH)
    return rows, None


Z_IMAGE_CASES = (
    FamilyCase(
        "z-image",
        CONFIG,
        pipeline=tiny_z_image_pipeline,
        save=saved_z_image_pipeline,
        hooked=hooked,
        call=call,
        velocity=lambda output, latents: -torch.stack(output.sample).squeeze(2),
        sampled=sampled,
        encoded=encoded,
        latents_of_pixels=scaled_mode,
        adapted=(1 + 1 + 2) * 4,
        same=("x", "t", "cap_feats"),
        # Three words, and eight tokens of the chat template around them.
        mask=(True,) * 11 + (False,) * 5,
        cut=r"tokenizer \(with the chat template\): 21 tokens given, 16 kept",
        masked=True,
        query="attention.to_q",
        compiled=True,
    ),
)
