"""Scoring latents at full size against the code released with the paper, in one process on a processor, in bfloat16.

    python -m benchmarks full_size scoring --generator FOLDER --against CHECKOUT [--pairs 2] [--rounds 5] [--json FILE]

The same latents and encoded prompts (77 + 128 tokens) at noise level 0.4, with the first 12 blocks, a LoRA of rank 64
and the head. The released score is `DRMInferencer.reward` without gradients, its LoRA loaded from a folder, which PEFT
keeps apart and in float32. Ours begins without any speed-up and adds one after the other, at last linear layers in 8
bits and compiled blocks; each stage takes turns with a released score of its own. What a LoRA merged into bfloat16
weights changes is said as the largest difference of scores, beside their spread.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.full_size.ours import config_on, random_prompts
from benchmarks.full_size.released import Released, drawn_latents
from benchmarks.full_size.training import T5_TOKENS, arguments, told, told_as_they_come, told_rows
from benchmarks.measuring import timed_in_turn
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.training.assemble import build_model
from dina_lrm.training.config import ComputeSettings

LEVEL = 0.4


def main(argv: Sequence[str]) -> dict[str, object]:
    """Run, print, and write the JSON."""
    given = arguments(__doc__, argv)
    torch.set_num_threads(given.threads)
    latents = drawn_latents(given.pairs, given.side, 0)
    prompts = random_prompts(T5_TOKENS, given.pairs, 2)
    with tempfile.TemporaryDirectory() as place:
        released = Released(given.against, given.generator, Path(place), given.blocks)
        scorer = released.scorer(released.trainer(encoders=False))
    texts = {"encoder_hidden_states": prompts.prompt_embeds, "pooled_projections": prompts.pooled_prompt_embeds}

    def theirs() -> None:
        with torch.no_grad():
            scorer.reward(texts, latents, LEVEL)

    config = config_on(given.generator, given.blocks, T5_TOKENS, ComputeSettings())
    model = build_model(config, torch.device("cpu")).eval().requires_grad_(False)
    _give_effect(model)
    scores: dict[str, Tensor] = {}

    def ours(name: str, attention: str) -> Callable[[], object]:
        def run() -> None:
            model.backbone.set_attention_backend(attention)
            scores[name] = model.score_latents(latents, prompts, LEVEL)

        return run

    stages: list[tuple[Callable[[], object], dict[str, str]]] = [
        (lambda: None, {"ours, LoRA apart": "native"}),
        (
            model.backbone.merge_lora,
            {"ours, LoRA merged": "native", "ours, LoRA merged, attention tiled": "tiled"},
        ),
        (lambda: model.backbone.multiply_in("int8"), {"ours, merged, tiled, linear layers in int8": "tiled"}),
        (lambda: model.backbone.compile_blocks(), {"ours, the same, blocks compiled": "tiled"}),
    ]
    rows: dict[str, dict[str, object]] = {}
    for prepare, names in stages:  # each from the one before, and beside a released score of its own
        prepare()
        jobs = {"released": theirs} | {name: ours(name, attention) for name, attention in names.items()}
        times = timed_in_turn(told_as_they_come(jobs), given.rounds, given.warm_up)
        rows |= told_rows(times, "released")
    found = told(f"scoring of {given.pairs} latents, {given.blocks} blocks", rows, given)
    apart = next(iter(scores.values()))
    spread = float(apart.std()) if len(apart) > 1 else float("nan")
    found["differences"] = {name: float((one - apart).abs().max()) for name, one in list(scores.items())[1:]}
    print(f"  differences from the LoRA apart, at most: {found['differences']}; spread of the scores {spread:.3g}")
    return found


def _give_effect(model: LatentRewardModel) -> None:
    """A LoRA that has learnt: its second factors start at zero."""
    draw = torch.Generator().manual_seed(4)
    tensors = model.backbone.lora_state_dict()
    model.backbone.load_lora_state_dict(
        {
            name: tensor if "lora_A" in name else 1e-3 * torch.randn(tensor.shape, generator=draw)
            for name, tensor in tensors.items()
        }
    )
