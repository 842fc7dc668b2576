"""Evaluating pairs at five noise levels and an ensemble, against the bare forwards that it cannot do without.

The plain side runs the backbone and the head once for each (image, level), in batches of the same size, and nothing
else: no ensemble, no accuracy, calibration, temperature or intervals. Ours is the whole `evaluate`. Memory is how much
the process grows while it evaluates, for two numbers of pairs: latents are read a batch at a time, so that it must not
grow with them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.measuring import peak_memory, speed_up, timed_in_turn
from dina_lrm.evaluation.evaluate import evaluate
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.evaluation.synthetic import synthetic_sets
from dina_lrm.reward_model.model import LatentRewardModel

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5)
BATCH = 64


def plain_forwards(model: LatentRewardModel, item: EvaluationSet) -> int:
    """One forward for each distinct (image, level); returns how many images were read."""
    data = item.encoded
    pairs = data.pairs
    images = torch.cat([pairs.image_a, pairs.image_b])
    prompts = torch.cat([pairs.prompt, pairs.prompt])
    wanted = torch.stack([images, prompts], dim=1).unique(dim=0)
    for rows in wanted.split(BATCH):
        latents = data.latents[0].rows(rows[:, 0])["latents"].float()
        conditioning = data.conditioning_of(rows[:, 1])
        with torch.no_grad():
            for level in LEVELS:
                model.score_latents(latents, conditioning, level)
    return len(wanted)


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    model = LatentRewardModel.from_pretrained("synthetic", device="cpu")
    sets = {count: synthetic_sets(model.backbone, ("in_domain",), count) for count in (given.pairs // 4, given.pairs)}
    whole = sets[given.pairs]
    read = 0

    def plain() -> None:
        nonlocal read
        read = plain_forwards(model, whole["in_domain"])

    def ours() -> None:
        evaluate(model, whole, LEVELS, (LEVELS,), batch_size=BATCH)

    times = timed_in_turn({"ours": ours, "plain": plain}, given.rounds, warm_up=1)
    memory = {}
    for count, chosen in sets.items():
        with peak_memory() as found:
            evaluate(model, chosen, LEVELS, (LEVELS,), batch_size=BATCH)
        memory[count] = found.added
    factor = times["ours"].median / times["plain"].median
    result: dict[str, object] = {
        "pairs": given.pairs,
        "images": read,
        "levels": len(LEVELS),
        "seconds": {name: timing.median for name, timing in times.items()},
        "times_the_forwards": factor,
        "added_memory_mib": memory,
    }
    print(f"{given.pairs} pairs of {read} images at {len(LEVELS)} levels and their ensemble, seed 0")
    for name, timing in times.items():
        print(f"  {name:<6} {timing.median:7.1f} s")
    print(f"  evaluation takes {factor:.2f} times as long; ratio by round {speed_up(times['ours'], times['plain'])}")
    told = ", ".join(f"{added:.0f} MiB for {count} pairs" for count, added in memory.items())
    print(f"  memory on top of the loaded model and data: {told}")
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=2) + "\n")
    return result


if __name__ == "__main__":
    main()
