"""Scoring of image pairs against a plain baseline: `python -m benchmarks.scoring_throughput [--pairs N] [--json FILE]`.

Both score the same image files' pixels for the same prompts with the same weights, at one noise level, from pixels to
numbers: VAE encoder, text encoders, the same truncated backbone, the head. What differs:

| | plain | ours (`LatentRewardModel.score`) |
|---|---|---|
| forwards | two for a batch of pairs: first images, second images | images of all pairs in one stream of batches |
| prompts | encoded in every forward: twice for each pair | each distinct prompt once |
| LoRA | beside the weights, as trained | merged into the weights |
| batch | small: 1, 4 and 16 pairs are measured; 4 is the headline | 64 images |
| images shared by pairs | encoded and scored once for each pair | the caller passes each image once |
| precision | float32 | float32 on the CPU |

The plain side is written as a user would write it from a training loop; it is not slowed down otherwise: no gradients,
evaluation mode, the truncated depth. Pairs of the first workload share nothing, those of the second are all six pairs
of four images of a prompt. The competitors take turns in one process; the ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.measuring import Memory, Timing, cpu_saving, peak_memory, speed_up, timed_in_turn
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.locate import BUNDLED
from dina_lrm.reward_model.model import LatentRewardModel

HEADLINE_BATCH = 4
PLAIN_BATCHES = (1, HEADLINE_BATCH, 16)
OUR_BATCH = 64


@dataclass(frozen=True, eq=False)
class Workload:
    """Images (float in [0, 1]), the prompt of each, and pairs of their rows."""

    name: str
    images: Tensor
    prompts: list[str]
    pairs: np.ndarray

    @property
    def distinct_prompts(self) -> int:
        """Number of different prompts."""
        return len(set(self.prompts))


def plain_scores(model: LatentRewardModel, work: Workload, batch_size: int) -> Tensor:
    """(pairs, 2) scores, `batch_size` pairs at a time, each side in a forward of its own."""
    level = model.config.noise_level
    found = []
    with torch.no_grad():
        for start in range(0, len(work.pairs), batch_size):
            sides = []
            for side in (0, 1):
                rows = work.pairs[start : start + batch_size, side]
                conditioning = model.backbone.encode_prompts([work.prompts[row] for row in rows])
                latents = model.backbone.encode_images(work.images[rows] * 2 - 1)
                noise = seeded_noise(tuple(latents.shape[1:]), 0).expand(latents.shape)
                noisy = model.process.add_noise(latents, noise, level)
                sides.append(model.main_of(model(noisy, torch.full((len(rows),), level), conditioning)))
            found.append(torch.stack(sides, dim=1))
    return torch.cat(found)


def our_scores(model: LatentRewardModel, work: Workload) -> Tensor:
    """(pairs, 2) scores: every image once, then looked up."""
    scores = model.score(work.images, work.prompts, batch_size=OUR_BATCH)
    return scores[torch.from_numpy(work.pairs)]


def measure(folder: str | Path, work: Workload, rounds: int) -> dict[str, object]:
    """Times, ratios, agreement and memory on one workload."""
    merged = LatentRewardModel.from_pretrained(folder, device="cpu")
    separate = LatentRewardModel.from_pretrained(folder, device="cpu", trainable=True).eval().requires_grad_(False)
    jobs: dict[str, Callable[[], Tensor]] = {"ours": lambda: our_scores(merged, work)}
    jobs |= {f"plain, {n} pairs": (lambda n=n: plain_scores(separate, work, n)) for n in PLAIN_BATCHES}
    results = {name: job() for name, job in jobs.items()}
    times = timed_in_turn(jobs, rounds, warm_up=0)
    with peak_memory() as memory:
        jobs["ours"]()
    spread = float(results["ours"].std())
    worst = max(float((scores - results["ours"]).abs().max()) for scores in results.values())
    _print(work, times, memory, worst, spread)
    return {
        "workload": work.name,
        "pairs": len(work.pairs),
        "images": len(work.images),
        "prompts": work.distinct_prompts,
        "seconds": {name: asdict(timing) for name, timing in times.items()},
        "images_per_second": {name: _rate(work, name, timing) for name, timing in times.items()},
        "ratio": {name: asdict(speed_up(times[name], times["ours"])) for name in times if name != "ours"},
        "cpu_ratio": {name: asdict(cpu_saving(times[name], times["ours"])) for name in times if name != "ours"},
        "largest_difference": worst,
        "score_std": spread,
        "peak_memory_mib": memory.peak,
        "added_memory_mib": memory.added,
    }


def synthetic_workloads(pairs: int) -> list[Workload]:
    """Pairs of the synthetic world: of prompts of their own, and all pairs of four images."""
    from dina_lrm.synthetic.comparisons import in_domain, training_comparisons

    drawn = [("pairs of their own", in_domain(pairs)), ("six pairs of four images", training_comparisons(pairs // 6))]
    return [
        Workload(
            name,
            torch.from_numpy(made.images).permute(0, 3, 1, 2).float() / 255,
            [made.prompts[group] for group in made.group],
            made.pairs,
        )
        for name, made in drawn
    ]


def benchmark_model(given: str | None, folder: Path) -> tuple[str | Path, str]:
    """The model asked for, else the bundled one where it is built in, else a tiny one; and what to call it."""
    if given is not None:
        return given, given
    if BUNDLED["synthetic"]["reward_model"].is_dir():
        return "synthetic", "the bundled synthetic reward model"
    from tests.models import tiny_reward_model
    from tests.tiny import saved_tiny_pipeline

    generator = saved_tiny_pipeline(folder / "generator")
    tiny_reward_model(generator).save_pretrained(folder / "model")
    return folder / "model", "a tiny model with random weights (the bundled one is not built)"


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder or hub id; by default the bundled model")
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        model, name = benchmark_model(given.model, Path(place))
        print(f"scoring: {name}, {torch.get_num_threads()} threads, seed 0, {given.rounds} rounds")
        found = [measure(model, work, given.rounds) for work in synthetic_workloads(given.pairs)]
    result: dict[str, object] = {"model": name, "threads": torch.get_num_threads(), "workloads": found}
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=2) + "\n")
    return result


def _rate(work: Workload, name: str, timing: Timing) -> float:
    """Images judged a second: two for each pair, however often each was forwarded."""
    return 2 * len(work.pairs) / timing.median


def _print(work: Workload, times: dict[str, Timing], memory: Memory, worst: float, spread: float) -> None:
    print(f"\n{work.name}: {len(work.pairs)} pairs, {len(work.images)} images, {work.distinct_prompts} prompts")
    for name, timing in times.items():
        ratio = ""
        if name != "ours":
            ratio = f"   ours: {speed_up(timing, times['ours'])} as fast, CPU {cpu_saving(timing, times['ours'])} less"
        print(f"  {name:<16} {timing.median:7.2f} s  {_rate(work, name, timing):7.0f} images/s{ratio}")
    print(f"  largest difference of a score {worst:.1e} (their standard deviation: {spread:.2f})")
    print(f"  peak memory of scoring {memory.peak:.0f} MiB, {memory.added:.0f} MiB of it on top of the loaded model")


if __name__ == "__main__":
    main()
