from typing import Any

from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.settings import BackboneConfig
from tests.backbones.case import FamilyCase, Hooks, scaled_mode
from tests.tiny import saved_tiny_pipeline, tiny_sd3_pipeline


def hooked(pipeline: Any, arguments: dict[str, Any], config: BackboneConfig) -> Features:
    transformer = pipeline.transformer
    run = Hooks(transformer, transformer.transformer_blocks[: config.depth], "time_text_embed").run(arguments)
    states = run.outputs | {0: (run.inputs["encoder_hidden_states"], run.inputs["hidden_states"])}
    return Features(
        tuple(states[n][1] for n in config.visual_taps), tuple(states[n][0] for n in config.text_taps), run.watched
    )


def call(pipeline: Any, latents: Tensor, timestep: Tensor, conditioning: Conditioning) -> dict[str, Any]:
    return {
        "hidden_states": latents,
        "timestep": timestep,
        "encoder_hidden_states": conditioning.prompt_embeds,
        "pooled_projections": conditioning.pooled_prompt_embeds,
    }


def sd3_case(
    name: str, dual: bool, t5: bool, adapted: int, depth: int, text_taps: tuple[int, ...], compiled: bool = False
) -> FamilyCase:
    length = 5 if t5 else 0
    config = BackboneConfig("sd3", "tiny", depth, (0, 1, depth), text_taps, prompt_length=length)

    def sampled(pipeline: Any, prompt: str, latents: Tensor, level: float, output_type: str = "latent") -> Tensor:
        return pipeline(prompt, latents=latents, num_inference_steps=1, sigmas=[level], output_type=output_type,
                        max_sequence_length=length, guidance_scale=1.0, height=32, width=32).images  # fmt: skip

    def encoded(pipeline: Any, prompts: Any) -> tuple[list[Tensor], Tensor]:
        embeds, _, pooled, _ = pipeline.encode_prompt(
            list(prompts), None, None, do_classifier_free_guidance=False, max_sequence_length=length
        )
        return list(embeds), pooled

    clip_cut = r"tokenizer \(CLIP\): 13 tokens given, 8 kept; tokenizer_2 \(CLIP\): 13 tokens given, 8 kept"
    return FamilyCase(
        name,
        config,
        pipeline=lambda: tiny_sd3_pipeline(dual=dual, t5=t5),
        save=lambda folder: saved_tiny_pipeline(folder, dual=dual, t5=t5),
        hooked=lambda pipeline, arguments: hooked(pipeline, arguments, config),
        call=call,
        velocity=lambda output, latents: output.sample,
        sampled=sampled,
        encoded=encoded,
        latents_of_pixels=scaled_mode,
        adapted=adapted,
        same=("hidden_states", "timestep", "encoder_hidden_states", "pooled_projections"),
        # Begin, three words, end for CLIP; three words and an end mark for T5.
        mask=(True,) * 5 + (False,) * 3 + ((True,) * 4 + (False,) if t5 else ()),
        cut=clip_cut + (r"; tokenizer_3 \(T5\): 12 tokens given, 5 kept" if t5 else "$"),
        compiled=compiled,
    )


SD3_CASES = (
    # Joint attention has 8 projections, the dual attention of the first two blocks 4 more.
    sd3_case("sd35-medium", dual=True, t5=False, adapted=3 * 8 + 2 * 4, depth=3, text_taps=(0, 2, 3), compiled=True),
    sd3_case("sd3-with-t5", dual=False, t5=True, adapted=2 * 8, depth=2, text_taps=(1, 2)),
    # All blocks: the last one has no text output, and no projection for it.
    sd3_case("sd35-whole", dual=True, t5=False, adapted=4 * 8 - 1 + 2 * 4, depth=4, text_taps=(3,)),
)
