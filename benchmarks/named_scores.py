"""Two scores from one model beside two models: `python -m benchmarks named_scores [--seeds N] [--json FILE]`.

On the bundled world people are asked for alignment and for quality. One model with a head of two scores and two
models of one score each learn from the same comparisons, for as many steps of as many pairs (`--together 2`: the one
for twice as many, which takes what both others take), and are measured on the same test pairs: the accuracy of each
axis on what people said of it, beside the accuracy of a judge who knows the truth of that axis (its ceiling), and on
which picture is truly better, where they differ. Accuracies are means over all test pairs of all seeds, with 95 %
intervals over prompts; differences are of the same pairs. Costs are CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.evaluation.bootstrap import interval_of_mean
from dina_lrm.evaluation.interval import Interval
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.comparisons import SyntheticComparisons, in_domain, training_comparisons
from dina_lrm.synthetic.encoding import encode
from dina_lrm.synthetic.utility import AXES
from dina_lrm.training.config import TrainConfig
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train


@dataclass(frozen=True)
class Sizes:
    """How much is learned and measured, for each seed."""

    prompts: int = 400
    steps: int = 200
    batch: int = 56
    pairs: int = 1_000
    together: int = 1
    """How many times as many steps the one model takes as each of the two: at 2 it takes what both take."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What one seed gave: by "one" and "two" and axis whether each pair was judged as people did, and as is true."""

    said: dict[str, dict[str, np.ndarray]]
    true: dict[str, dict[str, np.ndarray]]
    ceiling: dict[str, float]
    prompts: np.ndarray
    training_seconds: dict[str, float]
    scoring_seconds: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    for name, usual in Sizes().__dict__.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args(arguments)
    sizes = Sizes(**{name: getattr(given, name) for name in Sizes().__dict__})
    found = []
    for seed in range(given.seeds):
        found.append(measured(sizes, seed))
        print(f"seed {seed} done", flush=True)
    told = summary(found)
    for line in lines(told):
        print(line)
    if given.json is not None:
        given.json.write_text(json.dumps({"sizes": sizes.__dict__, "seeds": given.seeds, **told}, indent=2) + "\n")
    return told


def measured(sizes: Sizes, seed: int) -> Measured:
    """Train one model of two scores and two of one, and measure both."""
    backbone = LatentRewardModel.from_pretrained("synthetic").backbone
    learned = encode(training_comparisons(sizes.prompts, seed=seed), backbone, by_name=True)
    drawn = in_domain(sizes.pairs, seed)
    test = encode(drawn, backbone, by_name=True)
    one, one_seconds = _trained(replace(sizes, steps=sizes.together * sizes.steps), seed, AXES, learned)
    two, two_seconds = {}, 0.0
    for axis in AXES:
        two[axis], seconds = _trained(sizes, seed, (axis,), learned)
        two_seconds += seconds
    (together,), one_scoring = _scored([one], test)
    alone, two_scoring = _scored([two[axis] for axis in AXES], test)
    margins = {"one": together, "two": {axis: found[axis] for axis, found in zip(AXES, alone, strict=True)}}
    return Measured(
        said={kind: {axis: _said(drawn, axis, found[axis]) for axis in AXES} for kind, found in margins.items()},
        true={kind: {axis: _true(drawn, axis, found[axis]) for axis in AXES} for kind, found in margins.items()},
        ceiling={axis: drawn.about(axis).ceiling for axis in AXES},
        prompts=drawn.group[drawn.pairs[:, 0]],
        training_seconds={"one": one_seconds, "two": two_seconds},
        scoring_seconds={"one": one_scoring, "two": two_scoring},
    )


def config_of(sizes: Sizes, seed: int, scores: Sequence[str]) -> TrainConfig:
    """The recipe `synthetic` with named scores, for fewer steps."""
    from dina_lrm.recipes.synthetic import synthetic

    base = synthetic()
    log = replace(base.log, trackers=(), checkpoint_every=0)
    model = replace(base.model, scores=tuple(scores))
    return replace(base, seed=seed, steps=sizes.steps, batch_size=sizes.batch, model=model, log=log)


def _trained(
    sizes: Sizes, seed: int, scores: Sequence[str], data: EncodedComparisons
) -> tuple[LatentRewardModel, float]:
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        result = train(TrainingPlan(config_of(sizes, seed, scores), data, Path(folder) / "run", quiet=True))
        return result.model, time.process_time() - start


@torch.no_grad()
def _scored(models: Sequence[LatentRewardModel], test: EncodedComparisons) -> tuple[list[dict[str, np.ndarray]], float]:
    """The margins of every pair by each model's scores, and the CPU seconds of scoring."""
    start, found = time.process_time(), []
    for model in models:
        parts = []
        for rows in torch.arange(len(test)).split(64):
            batch = test.batch(rows)
            scores = model.latent_scores(batch.latents, batch.conditioning)
            parts.append({name: each[batch.first] - each[batch.second] for name, each in scores.items()})
        found.append({name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]})
    return found, time.process_time() - start


def _said(drawn: SyntheticComparisons, axis: str, margin: np.ndarray) -> np.ndarray:
    """Whether each pair is ranked as it was said to be; NaN for a tie."""
    preference = drawn.about(axis).preference
    return np.where(preference == 0.5, np.nan, (margin > 0) == (preference > 0.5))


def _true(drawn: SyntheticComparisons, axis: str, margin: np.ndarray) -> np.ndarray:
    """Whether each pair is ranked as is true; NaN where both pictures are equally good."""
    utility = drawn.about(axis).utility
    gap = utility[drawn.pairs[:, 0]] - utility[drawn.pairs[:, 1]]
    return np.where(np.abs(gap) < 1e-9, np.nan, (margin > 0) == (gap > 0))


def summary(found: Sequence[Measured]) -> dict[str, Any]:
    """Accuracies, ceilings, differences and costs over all seeds."""
    clusters = np.concatenate([one.prompts + 1_000_000 * seed for seed, one in enumerate(found)])

    def over(values: Sequence[np.ndarray]) -> Interval:
        return interval_of_mean(np.concatenate(values).astype(float), clusters)

    axes = {}
    for axis in AXES:
        row: dict[str, Any] = {"ceiling": float(np.mean([one.ceiling[axis] for one in found]))}
        for what in ("said", "true"):
            each = {kind: [getattr(one, what)[kind][axis] for one in found] for kind in ("one", "two")}
            difference = [a - b for a, b in zip(each["one"], each["two"], strict=True)]
            row[what] = {name: over(values).__dict__ for name, values in {**each, "difference": difference}.items()}
        axes[axis] = row
    seconds = {
        what: {kind: [getattr(one, what)[kind] for one in found] for kind in ("one", "two")}
        for what in ("training_seconds", "scoring_seconds")
    }
    return {"axes": axes, **seconds}


def lines(told: dict[str, Any]) -> list[str]:
    """The table of the documentation, and the costs."""
    rows = [
        "| axis | ceiling % | one model % | two models % | difference | one model, truth % | two models, truth % |",
        "|---|---|---|---|---|---|---|",
    ]
    for axis, row in told["axes"].items():
        cells = [_text(row["said"][name]) for name in ("one", "two", "difference")]
        truth = [_text(row["true"][name]) for name in ("one", "two")]
        rows.append(f"| {axis} | {100 * row['ceiling']:.1f} | {' | '.join([*cells, *truth])} |")
    for what in ("training_seconds", "scoring_seconds"):
        one, two = (np.array(told[what][kind]) for kind in ("one", "two"))
        shown = ", ".join(f"{a:.1f}/{b:.1f}" for a, b in zip(one, two, strict=True))
        rows.append(f"{what.replace('_', ' ')} (CPU), one/two: {shown}; share {float(np.median(one / two)):.2f}")
    return rows


def _text(row: dict[str, Any]) -> str:
    return Interval(**row).text(".1f", percent=True)


if __name__ == "__main__":
    main()
