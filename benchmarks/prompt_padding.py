"""What prompts without padding cost in accuracy: models of the bundled world, trained on the same pairs in both ways.

For each seed one model reads prompts padded to their length ("max") and one reads prompts that end behind their last
token ("none"); pairs, order, noise and initial weights are the same. Printed: the accuracy of each on the same held-out
pairs, the difference of the two over seeds with its 95 % interval (Student's t), and processor time a step. The bundled
world has CLIP encoders alone, so that CLIP's padding is what is dropped.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy import stats

from dina_lrm import LatentRewardModel, TrainingPlan, train
from dina_lrm.backbones.settings import PromptPadding
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.evaluation.scoring import readings_of, score_comparisons
from dina_lrm.recipes import recipe
from dina_lrm.recipes.data import data_for
from dina_lrm.training.config import TrainConfig

WAYS: tuple[PromptPadding, ...] = ("max", "none")


def main(words: list[str] | None = None) -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("seeds", 5), ("steps", 100), ("prompts", 300), ("held", 150)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--batch", type=int, default=28)
    options = parser.parse_args(words)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in range(options.seeds):
        for way in WAYS:
            accuracy, seconds = measured(way, seed, options)
            found[way].append(accuracy)
            print(
                json.dumps({"seed": seed, "padding": way, "accuracy": accuracy, "seconds_a_step": seconds}), flush=True
            )
    print(told(np.array(found["max"]), np.array(found["none"])), flush=True)


def measured(way: PromptPadding, seed: int, options: argparse.Namespace) -> tuple[float, float]:
    """Accuracy on held-out pairs, and seconds of processor time a training step, after training in one way."""
    config = recipe("synthetic")
    backbone = replace(config.model.backbone, prompt_padding=way)
    config = replace(
        config,
        steps=options.steps,
        batch_size=options.batch,
        seed=seed,
        model=replace(config.model, backbone=backbone),
    )
    data = data_for(config, "synthetic", synthetic_prompts=options.prompts)
    held = data_for(config, "synthetic", synthetic_prompts=options.held, seed=1)
    with TemporaryDirectory() as place:
        start = time.process_time()
        train(TrainingPlan(config, data, Path(place) / "run", quiet=True))
        seconds = (time.process_time() - start) / options.steps
        model = LatentRewardModel.from_pretrained(Path(place) / "run" / "model")
        return accuracy_of(model, held, config), seconds


def accuracy_of(model: LatentRewardModel, held: EncodedComparisons, config: TrainConfig) -> float:
    """Share of held-out pairs that the model puts in order, read where it scores."""
    scores = score_comparisons(model, held, readings_of([config.model.noise_level], []), 64, 0)
    margin = scores.first[:, 0] - scores.second[:, 0]
    preference = held.preference.numpy()
    decided = preference != 0.5
    return float(((margin > 0) == (preference > 0.5))[decided].mean())


def told(most: np.ndarray, none: np.ndarray) -> str:
    """Means, and the mean difference over seeds with its interval."""
    difference = none - most
    half = stats.t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / len(difference) ** 0.5
    return (
        f"{len(most)} seeds: max {most.mean():.4f}, none {none.mean():.4f}, none - max {difference.mean():+.4f} "
        f"({difference.mean() - half:+.4f} to {difference.mean() + half:+.4f}, 95 %)"
    )
