"""What is found of simulated annotators whose truth is known, and how well their weighed votes say who is better.

Margins are standard normal. Five annotators of different noise, one of whom leans to the left and one of whom lapses,
and an adversary vote on 200 of the pairs each. Printed: found over true noise, where margins are known and where
nothing is known of them; and how often the sign of the truth is met by the plain majority, by votes weighed by
controls, and by votes weighed by the fit, over the pairs with a vote. 95 % intervals over seeds.

    python -m benchmarks collecting annotators
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.special import ndtr

from dina_lrm.collecting.vote_models.fit import Fit, Judgements, fit_annotators
from dina_lrm.data.votes.trust import Trust
from dina_lrm.evaluation.bootstrap import interval_of_mean

NOISE = np.array([0.25, 0.4, 0.6, 0.8, 1.2])
BETA = np.append(1 / NOISE, -2.0)
LEAN = np.array([0.0, 0.5, 0.0, 0.0, 0.0, 0.0])
LAPSE = np.array([0.02, 0.02, 0.1, 0.02, 0.02, 0.02])
CONTROLS = 20
EASY = 3.0
"""The margin of a control."""


def main(words: list[str] | None = None) -> None:
    """Measure over seeds and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("pairs", 300), ("votes", 200), ("repeats", 20), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args(words)
    ratios: dict[str, list[list[float]]] = {"known margins": [], "unknown margins": []}
    right: dict[str, list[float]] = {"plain majority": [], "weighed by controls": [], "weighed by the fit": []}
    for seed in range(options.seed, options.seed + options.repeats):
        margins, votes, controls = simulated(options.pairs, options.votes, seed)
        known, unknown = fit_annotators(votes, margins), fit_annotators(votes)
        ratios["known margins"].append(found_noise(known))
        ratios["unknown margins"].append(found_noise(unknown))
        weights = {
            "plain majority": np.ones(len(BETA)),
            "weighed by controls": np.array([trusted(int(one)) for one in controls]),
            "weighed by the fit": np.array([one.weight for one in unknown.annotators]),
        }
        for name, given in weights.items():
            right[name].append(accuracy(margins, votes, given))
    for name, rows in ratios.items():
        each = np.array(rows)
        off = np.abs(each - 1)
        told = ", ".join(interval_of_mean(each[:, place]).text(".2f") for place in range(len(NOISE)))
        within = float((off < 0.2).mean())
        print(f"{name}: found / true noise of {NOISE.tolist()}: {told}")
        print(f"  off by {interval_of_mean(off.mean(axis=1)).text('.3f')} in the mean; {within:.0%} within 20 %")
    for name, shares in right.items():
        print(f"{name}: {interval_of_mean(np.array(shares)).text('.3f')} of pairs right")
    better = np.array(right["weighed by the fit"]) - np.array(right["plain majority"])
    print(f"the fit over the plain majority: {interval_of_mean(better).text('+.3f')}")
    by_controls = np.array(right["weighed by controls"]) - np.array(right["plain majority"])
    print(f"controls over the plain majority: {interval_of_mean(by_controls).text('+.3f')}")


def simulated(pairs: int, per: int, seed: int) -> tuple[np.ndarray, Judgements, np.ndarray]:
    """Margins, votes, and how many controls each annotator had right."""
    random = np.random.default_rng([seed, 7])
    margins = random.normal(size=pairs)
    rows = np.concatenate([random.permutation(pairs)[:per] for _ in BETA])
    who = np.repeat(np.arange(len(BETA)), per)
    left = random.choice([-1.0, 1.0], len(rows))
    likely = LAPSE[who] / 2 + (1 - LAPSE[who]) * ndtr(BETA[who] * margins[rows] + LEAN[who] * left)
    answers = np.where(random.random(len(rows)) < likely, 0, 2)
    controls = random.binomial(CONTROLS, LAPSE / 2 + (1 - LAPSE) * ndtr(BETA * EASY))
    return margins, Judgements(rows, who, answers, left), controls


def trusted(right: int) -> float:
    """What votes weigh by so many controls right, at least eight in ten."""
    trust = Trust(right, CONTROLS - right)
    return 0.0 if right < 0.8 * CONTROLS else max(0.0, 2 * trust.mean - 1)


def found_noise(fit: Fit) -> list[float]:
    """Found over true noise of all but the adversary."""
    return [one.noise / wanted for one, wanted in zip(fit.annotators[: len(NOISE)], NOISE, strict=True)]


def accuracy(margins: np.ndarray, votes: Judgements, weights: np.ndarray) -> float:
    """How often the weighted share is on the true side; a share of a half, or no weight at all, is half right."""
    given = weights[votes.annotators]
    signed = np.bincount(votes.pairs, given * (1 - votes.answers), minlength=len(margins))
    voted = np.bincount(votes.pairs, minlength=len(margins)) > 0
    met = np.where(np.abs(signed) < 1e-12, 0.5, (signed > 0) == (margins > 0))
    return float(met[voted].mean())


if __name__ == "__main__":
    main()
