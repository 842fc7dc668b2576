"""A sampling step with a step-level score: from the generator's own pass, against a pass of the reward's own.

Both sides compute the guided velocity and the score of the noisy state, which are equal. The reward is the bundled one
with its LoRA left out: only a reward on a frozen backbone can be read in the generator's pass.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import Job, speed_up, timed_in_turn
from dina_lrm.generators.generator import Generator
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.sampling.in_pass import InPass
from dina_lrm.synthetic.captions import distinct_captions
from dina_lrm.synthetic.world import bundled_pipeline

LEVEL = 0.6


def frozen_reward(generator: Generator) -> LatentRewardModel:
    """The bundled reward's architecture on the bare backbone of a generator."""
    config = replace(LatentRewardModel.from_pretrained("synthetic").config, lora=None)
    with TemporaryDirectory() as folder:
        LatentRewardModel.build(config).save_pretrained(Path(folder) / "model")
        return LatentRewardModel.from_pretrained(Path(folder) / "model", pipeline=generator.pipeline)


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    found: dict[str, object] = {"batch_size": given.batch_size}
    for guidance in (1.0, 3.0):
        measured = measure(given.batch_size, guidance, given.rounds)
        found[f"guidance {guidance:g}"] = measured
        print(
            f"guidance {guidance:g}: the score costs {measured['separate_share']:.1%} of a step in a pass of its own, "
            f"{measured['in_pass_share']:.1%} in the generator's (FLOPs); the step is {measured['speed_up']} as fast"
        )
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return found


def measure(batch: int, guidance: float, rounds: int) -> dict[str, object]:
    """FLOPs of a score as a share of the bare step, on both sides, how much faster the step is, and the difference."""
    generator = Generator(bundled_pipeline(), 32, 2, 4.0, 0, guidance)
    model = frozen_reward(generator)
    reader, level = InPass(generator, model), torch.tensor(LEVEL)
    x, told = (
        generator.noise(range(batch)),
        generator.encode_prompts(distinct_captions(np.random.default_rng(0), batch)),
    )

    @torch.no_grad()
    def bare() -> torch.Tensor:
        return generator.velocity(x, level, told, guidance)

    @torch.no_grad()
    def separate() -> torch.Tensor:
        bare()
        return model.score_noisy(x, LEVEL, told)

    @torch.no_grad()
    def in_pass() -> torch.Tensor:
        return reader(x, level, told, guidance)[1]

    jobs: dict[str, Job] = {"separate": separate, "in pass": in_pass}
    flops = {name: _flops(job) for name, job in {"bare": bare, **jobs}.items()}
    times = timed_in_turn(jobs, rounds)
    return {
        "separate_share": flops["separate"] / flops["bare"] - 1,
        "in_pass_share": flops["in pass"] / flops["bare"] - 1,
        "speed_up": str(speed_up(times["separate"], times["in pass"])),
        "largest_difference": float((separate() - in_pass()).abs().max()),
    }


def _flops(job: Job) -> float:
    with FlopCounterMode(display=False) as counter:
        job()
    return float(counter.get_total_flops())


if __name__ == "__main__":
    main()
