from typing import Any

from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.settings import BackboneConfig
from tests.backbones.case import FamilyCase, Hooks
from tests.tiny.sana import SANA_CHANNELS, saved_sana_pipeline, tiny_sana_pipeline

LENGTH = 6
CONFIG = BackboneConfig("sana", "tiny", 2, (0, 1, 2), (0,), prompt_length=LENGTH)


def hooked(pipeline: Any, arguments: dict[str, Any]) -> Features:
    transformer = pipeline.transformer
    run = Hooks(transformer, transformer.transformer_blocks[: CONFIG.depth], "time_embed").run(arguments)
    states = run.outputs | {0: run.arguments[0]}
    return Features(tuple(states[n] for n in CONFIG.visual_taps), (run.arguments[2],), run.watched[1])


def call(pipeline: Any, latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> dict[str, Any]:
    return {
        "hidden_states": latents,
        "encoder_hidden_states": conditioning.prompt_embeds,
        "encoder_attention_mask": conditioning.prompt_mask,
        "timestep": timestep * pipeline.transformer.config.timestep_scale,
    }


def sampled(pipeline: Any, prompt: str, latents: Tensor, level: float, output_type: str = "latent") -> Tensor:
    return pipeline(prompt, latents=latents, num_inference_steps=1, sigmas=[level], output_type=output_type,
                    max_sequence_length=LENGTH, guidance_scale=1.0, height=32, width=32,
                    use_resolution_binning=False).images  # fmt: skip


def encoded(pipeline: Any, prompts: Any) -> tuple[list[Tensor], None]:
    # What the pipeline's own call does with a prompt, instruction and all.
    seen: dict[str, Any] = {}
    handle = pipeline.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.update(kwargs), with_kwargs=True
    )
    pipeline(list(prompts), num_inference_steps=1, output_type="latent", max_sequence_length=LENGTH,
             guidance_scale=1.0, height=32, width=32, use_resolution_binning=False)  # fmt: skip
    handle.remove()
    return list(seen["encoder_hidden_states"]), None


SANA_CASES = (
    FamilyCase(
        "sana",
        CONFIG,
        pipeline=tiny_sana_pipeline,
        save=saved_sana_pipeline,
        hooked=hooked,
        call=call,
        velocity=lambda output, latents: output.sample,
        sampled=sampled,
        encoded=encoded,
        latents_of_pixels=lambda pipeline, pixels: pipeline.vae.encode(pixels).latent * 0.41407,
        adapted=2 * (4 + 4),
        same=("hidden_states", "timestep", "encoder_hidden_states"),
        mask=(True,) * 4 + (False,) * 2,
        cut=r"tokenizer \(with the pipeline's instruction\): \d+ tokens given, \d+ kept",
        channels=SANA_CHANNELS,
        masked=True,
        query="attn1.to_q",
    ),
)
