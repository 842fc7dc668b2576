"""The model card of a generator of the synthetic world."""

from collections.abc import Mapping, Sequence
from typing import Any


def model_card(facts: Mapping[str, Any], captions: Sequence[str]) -> str:
    """The card in Markdown: data, steps, measures, the command; `captions` are those of the grid's first row."""
    config = facts["config"]
    vae, flow = config["vae"], config["generator"]
    rows = {
        "data": f"{flow['images']:,} rendered pictures with captions; {flow['mismatched']:.0%} disagree with theirs, "
        f"{flow['damaged']:.0%} are damaged",
        "autoencoder": f"{vae['steps']:,} steps of {vae['batch_size']}, PSNR {facts['vae_psnr_db']:.1f} dB on 2,000 "
        "held-out pictures",
        "flow matching": f"{flow['steps']:,} steps of {flow['batch_size']} "
        f"({flow['steps'] * flow['batch_size']:,} pictures), final loss {facts['flow_loss']:.3f}",
        "samples": f"{facts['samples']} prompts, 20 steps, guidance 3: the analytic oracle reads "
        f"{facts['samples_right']:.0%} as exactly right",
        "mean alignment, quality": f"{facts['samples_alignment']:.2f}, {facts['samples_quality']:.2f} (0 = perfect)",
        "seed": config["seed"],
        "time since the last resume": f"{facts['seconds'] / 60:.0f} minutes",
        "command": f"`dina-lrm synthetic pretrain --config.seed {config['seed']} --out FOLDER`",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---
# The generator of the synthetic world

A complete `StableDiffusion3Pipeline` at toy size, for 32 x 32 pictures of coloured shapes: SD3 transformer (8 joint
blocks of width 160, the first four with dual attention, qk rms-norm), autoencoder (4 times smaller, 16 channels), two
CLIP text encoders (16 tokens), flow matching. There is no T5 encoder: load it with
`text_encoder_3=None, tokenizer_3=None` and sample with `max_sequence_length=0`.

![samples](samples.png)

First row: {"; ".join(captions)}.

| | |
|---|---|
{table}

The training pictures hold every combination of colour and shape, but only the defects that training comparisons show.
It draws coloured shapes and nothing else; it exists so that reward models can be studied where the truth is known.
"""
