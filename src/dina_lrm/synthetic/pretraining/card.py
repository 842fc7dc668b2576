"""The model card of a generator of the synthetic world, and what was measured of any bundled network in a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

_ARCHITECTURES = {
    "sd3": """\
A complete `StableDiffusion3Pipeline` at toy size, for 32 x 32 pictures of coloured shapes: SD3 transformer (8 joint
blocks of width 160, the first four with dual attention, qk rms-norm), autoencoder (4 times smaller, 16 channels), two
CLIP text encoders (16 tokens), flow matching. There is no T5 encoder: load it with
`text_encoder_3=None, tokenizer_3=None` and sample with `max_sequence_length=0`.""",
    "unet": """\
A complete `StableDiffusionPipeline` at toy size, for 32 x 32 pictures of coloured shapes: U-Net of two resolutions
(8 x 8 at width 48, 4 x 4 at width 128 with cross attention), 1,000 steps of noise as in Stable Diffusion 1.5, epsilon
prediction. The autoencoder is that of the first generator of the world, without its shift of the latents; the CLIP text
encoder (16 tokens) started from one of its two.""",
}
_TITLES = {"sd3": "The generator of the synthetic world", "unet": "The U-Net of the synthetic world"}

_MEASURES = {
    "vae_psnr_db": "autoencoder {:.1f} dB",
    "flow_loss": "flow loss {:.3f}",
    "noise_loss": "noise loss {:.3f}",
    "samples_right": "{:.0%} of samples exactly right",
    "samples_alignment": "mean alignment {:.2f}",
    "samples_quality": "mean quality {:.2f}",
}


def measured_sentence(facts: Mapping[str, Any]) -> str:
    """What facts.json of a generator, a LoRA or a judge says was measured, in a line; what is not known is left out."""
    found = [text.format(facts[name]) for name, text in _MEASURES.items() if facts.get(name) is not None]
    found += [f"{name} {100 * one['accuracy']:.1f} %" for name, one in facts.get("sets", {}).items()]
    return ", ".join(found)


def model_card(facts: Mapping[str, Any], captions: Sequence[str]) -> str:
    """The card in Markdown: data, steps, measures, the command; `captions` are those of the grid's first row."""
    config = facts["config"]
    architecture = config.get("architecture", "sd3")
    rows = {
        **(_unet_rows(facts) if architecture == "unet" else _sd3_rows(facts)),
        "samples": f"{facts['samples']} prompts, 20 steps, guidance 3: the analytic oracle reads "
        f"{facts['samples_right']:.0%} as exactly right",
        "mean alignment, quality": f"{facts['samples_alignment']:.2f}, {facts['samples_quality']:.2f} (0 = perfect)",
        "seed": config["seed"],
        "time since the last resume": f"{facts['seconds'] / 60:.0f} minutes",
        "command": f"`dina-lrm synthetic pretrain --config.architecture {architecture} --config.seed {config['seed']} "
        f"{'' if config.get('compile', True) else '--config.no-compile '}--out FOLDER`",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---
# {_TITLES[architecture]}

{_ARCHITECTURES[architecture]}

![samples](samples.png)

First row: {"; ".join(captions)}.

| | |
|---|---|
{table}

The training pictures hold every combination of colour and shape, but only the defects that training comparisons show.
It draws coloured shapes and nothing else; it exists so that reward models can be studied where the truth is known.
"""


def uncurated_card(facts: Mapping[str, Any]) -> str:
    """The card of the LoRA."""
    config = facts["config"]
    return f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---
# The uncurated generator of the synthetic world

A LoRA of rank {config["rank"]} for the bundled generator `synthetic`. With it the generator draws as one that learned
from a crawl of the web: {config["damaged"]:.0%} of the pictures that it learned from are damaged (blur, noise, low
contrast, colour casts), {config["mismatched"]:.0%} disagree with their captions in one way. It exists so that alignment
has something to mend, where the truth is known.

![samples](samples.png)

| | |
|---|---|
| flow matching | {_steps(config)}{_loss(facts["flow_loss"])} |
| mean alignment, quality | {facts["samples_alignment"]:.2f}, {facts["samples_quality"]:.2f} (0 = perfect) |
| samples | {facts["samples"]} prompts, 20 steps, guidance 3 |
| command | `dina-lrm synthetic uncurate --seed {facts["seed"]} --out FOLDER` |
"""


def _loss(value: float | None) -> str:
    """Nothing where it is not known."""
    return "" if value is None else f", final loss {value:.3f}"


def _sd3_rows(facts: Mapping[str, Any]) -> dict[str, str]:
    vae, flow = facts["config"]["vae"], facts["config"]["generator"]
    return {
        "data": _data(flow),
        "autoencoder": f"{vae['steps']:,} steps of {vae['batch_size']}, PSNR {facts['vae_psnr_db']:.1f} dB on "
        f"{vae.get('held_out', 2_000):,} held-out pictures",
        "flow matching": f"{_steps(flow)}{_loss(facts['flow_loss'])}",
    }


def _unet_rows(facts: Mapping[str, Any]) -> dict[str, str]:
    unet = facts["config"]["unet"]
    return {
        "data": _data(unet),
        "prediction of the noise": f"{_steps(unet)}, final loss {facts['noise_loss']:.3f}",
    }


def _data(config: Mapping[str, Any]) -> str:
    return (
        f"{config['images']:,} rendered pictures with captions; {config['mismatched']:.0%} disagree with theirs, "
        f"{config['damaged']:.0%} are damaged"
    )


def _steps(config: Mapping[str, Any]) -> str:
    pictures = config["steps"] * config["batch_size"]
    return f"{config['steps']:,} steps of {config['batch_size']} ({pictures:,} pictures)"
