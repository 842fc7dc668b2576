"""How many votes a way of choosing pairs saves, where utilities are linear, as the model that chooses takes them to be.

Utilities are linear in features drawn from a normal distribution; a vote has probability Phi(margin / noise). After
batches of votes the weights are fitted anew. Printed: bits by which predicted probabilities of 2,000 other pairs differ
from the true ones (Kullback-Leibler), with a 95 % interval over repeats, each way on the same worlds.

    python -m benchmarks collecting choice
    python -m benchmarks collecting choice --repeats 12
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.special import ndtr, xlogy

from dina_lrm.collecting.choice.posterior import Posterior, fit_posterior
from dina_lrm.collecting.choice.ways import WAYS, choose
from dina_lrm.evaluation.bootstrap import interval_of_mean

SHOWN = (40, 100, 200, 300)


def main(words: list[str] | None = None) -> None:
    """Measure all ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("features", 16), ("pairs", 1500), ("batch", 20), ("repeats", 6), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--random-share", type=float, default=0.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    table = {}
    for way in WAYS:
        seeds = range(options.seed, options.seed + options.repeats)
        runs = np.array([run(way, seed, options) for seed in seeds])
        told = [interval_of_mean(runs[:, place]) for place in range(len(SHOWN))]
        table[way] = runs.tolist()
        print(f"| {way} | " + " | ".join(one.text(".3f") for one in told) + " |", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps({"votes": SHOWN, "bits": table}))


def run(way: str, seed: int, options: argparse.Namespace) -> list[float]:
    """The bits after each of the shown numbers of votes."""
    world = np.random.default_rng([seed, 5])
    true = world.normal(size=options.features) / np.sqrt(options.features)
    x = world.normal(size=(options.pairs, options.features)) * np.sqrt(2)
    test = world.normal(size=(2000, options.features)) * np.sqrt(2)
    answers = world.random(options.pairs) < ndtr(x @ true / options.noise)
    prior = known = Posterior.before(np.zeros(options.features), 1 / options.features)
    asked: list[int] = []
    found = []
    while len(asked) < max(SHOWN):
        left = np.setdiff1d(np.arange(options.pairs), asked)
        batch = choose(way, known, x[left], options.noise, options.batch, options.random_share, seed + len(asked))
        asked += [int(left[one.row]) for one in batch]
        known = fit_posterior(prior, x[asked], answers[asked].astype(float), options.noise)
        if len(asked) in SHOWN:
            found.append(bits(ndtr(test @ true / options.noise), predicted(known, test, options.noise)))
    return found


def predicted(known: Posterior, x: np.ndarray, noise: float) -> np.ndarray:
    """P(a preferred), the margin's uncertainty included."""
    margins, variances = known.margins(x)
    return ndtr(margins / np.sqrt(noise**2 + variances))


def bits(true: np.ndarray, found: np.ndarray) -> float:
    """The mean divergence of a vote's two answers, in bits."""
    each = xlogy(true, true / found) + xlogy(1 - true, (1 - true) / (1 - found))
    return float(each.mean() / np.log(2))


if __name__ == "__main__":
    main()
