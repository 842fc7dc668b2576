"""How fast a taste is learnt from votes: pairs at random against pairs that are chosen, on the bundled world.

Somebody with a taste that is not the bundled one (`--taste`, how much prompt and quality matter to them) votes on pairs
of pictures of one prompt, as unsure as the world's people are. After each batch the bundled model learns from all
votes, as `annotate --learn` does, and chooses the next batch, one in five at random. Measured are the rank correlations
of its scores with the true utility of pictures that nobody votes on, over all and within prompts, and how far its
probabilities are off there; intervals are over seeds, Student's t. `--pictures contested` are those where tastes
differ, `plain` the world's own mixture. `ceiling` is the same model taught by every pair, 50 votes each.

    python -m benchmarks collecting taught
    python -m benchmarks collecting taught --pictures plain
    python -m benchmarks collecting taught --votes 1000 --prompts 250 --out taught.jsonl --plot taught.png

A run that is given the same `--out` again goes on behind the seeds that are in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr
from scipy.stats import t as student

from benchmarks.collecting.contested import IMAGES, KINDS, correlations, world
from benchmarks.collecting.kept import Kept
from dina_lrm import LatentRewardModel
from dina_lrm.collecting.asking.learning import noise_of
from dina_lrm.collecting.asking.opinions import chances
from dina_lrm.collecting.choice.posterior import Posterior, fit_posterior
from dina_lrm.collecting.choice.taste import directions
from dina_lrm.collecting.choice.ways import choose
from dina_lrm.synthetic.utility import PERSONALITIES

MEASURES = ("overall", "within", "off")
_CEILING = "ceiling"
_CEILING_VOTES = 50.0
_SHOWN = (0, 20, 50, 100, 200, 300, 500, 700)


def main(words: list[str] | None = None) -> None:
    """Vote, learn, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("votes", 300), ("batch", 10), ("prompts", 150), ("held-out", 50)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(5)])
    parser.add_argument("--taste", default="aesthete", choices=sorted(PERSONALITIES))
    parser.add_argument("--pictures", default="contested", choices=KINDS)
    parser.add_argument("--ways", nargs="+", default=["random", "eig"])
    parser.add_argument("--out", type=Path, help="a file of JSON lines, added to behind each seed and gone on with")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args(words)
    names = ("votes", "batch", "prompts", "held_out", "taste", "pictures")
    kept = Kept(options.out, {"part": "taught", **{name: getattr(options, name) for name in names}})
    model = LatentRewardModel.from_pretrained("synthetic", device="cpu")
    for seed in options.seeds:
        _measure(model, options, seed, kept)
    votes = [*range(0, options.votes + 1, options.batch)]
    found = {"votes": votes, "curves": {way: kept.of(way, "curve") for way in options.ways}}
    found["ceiling"] = kept.of(_CEILING, "measures")
    print(table(found))
    if options.plot is not None:
        plot(found, options.plot)


def _measure(model: LatentRewardModel, options: argparse.Namespace, seed: int, kept: Kept) -> None:
    """What a seed lacks still, told as it comes."""
    ways = [way for way in options.ways if not kept.has(seed, way)]
    if not ways and kept.has(seed, _CEILING):
        return
    taught = _Taught(model, options, seed)
    for way in ways:
        curve = taught.curve(way, options.votes, options.batch)
        told = ", ".join(f"{name} {a:.3f} to {b:.3f}" for name, a, b in _ends(curve))
        print(f"seed {seed}, {way}: {told}", flush=True)
        kept.add(seed, way, {"curve": curve})
    if not kept.has(seed, _CEILING):
        kept.add(seed, _CEILING, {"measures": taught.ceiling()})


class _Taught:
    """Pictures to vote on and pictures that are held out, as a model reads them, and somebody's answers."""

    def __init__(self, model: LatentRewardModel, options: argparse.Namespace, seed: int) -> None:
        person = PERSONALITIES[options.taste]
        own = world(options.pictures, options.prompts + options.held_out, person, seed)
        self.seed, self.noise, self.utility = seed, noise_of(model), own.utility
        reading = own.read(model, seed)
        found = directions(reading, own.prompts, seed)
        self.features, self.prior = found.features(reading), found.before()
        self.voted = options.prompts * IMAGES
        self.pairs, self.others = _pairs(0, self.voted), _pairs(self.voted, len(own.images))
        self.differences = self.features[self.pairs[:, 0]] - self.features[self.pairs[:, 1]]
        self.share = ndtr((own.utility[self.pairs[:, 0]] - own.utility[self.pairs[:, 1]]) / (np.sqrt(2) * person.noise))
        # One answer a pair, whichever way it comes to be asked
        self.answers = (np.random.default_rng([seed, 32]).random(len(self.share)) < self.share).astype(float)
        gap = own.utility[self.others[:, 0]] - own.utility[self.others[:, 1]]
        self.others_won = np.random.default_rng([seed, 33]).random(len(gap)) < ndtr(gap / (np.sqrt(2) * person.noise))

    def curve(self, way: str, votes: int, batch: int) -> list[tuple[float, ...]]:
        """The measures before any vote and after each batch."""
        known, asked = self.prior, list[int]()
        found = [self.measures(known)]
        while len(asked) < votes:
            left = np.setdiff1d(np.arange(len(self.pairs)), asked)
            seed = self.seed * 1000 + len(asked)
            asked += [
                int(left[one.row]) for one in choose(way, known, self.differences[left], self.noise, batch, 0.2, seed)
            ]
            known = fit_posterior(self.prior, self.differences[asked], self.answers[asked], self.noise)
            found.append(self.measures(known))
        return found

    def ceiling(self) -> tuple[float, ...]:
        """The measures where every pair was answered by many."""
        times = np.full(len(self.pairs), _CEILING_VOTES)
        return self.measures(fit_posterior(self.prior, self.differences, self.share, self.noise, times))

    def measures(self, known: Posterior) -> tuple[float, ...]:
        """Two rank correlations on pictures that are held out, and how far probabilities are off there."""
        scores = self.features[self.voted :] @ known.weights
        x = self.features[self.others[:, 0]] - self.features[self.others[:, 1]]
        return (*correlations(scores, self.utility[self.voted :]), _off(chances(known, x, self.noise), self.others_won))


def _pairs(start: int, end: int) -> np.ndarray:
    rows = [range(first, first + IMAGES) for first in range(start, end, IMAGES)]
    return np.array([(a, b) for own in rows for a in own for b in own if a < b])


def _off(chance: np.ndarray, won: np.ndarray) -> float:
    """Mean over answers of |chance - share that won| in ten equal parts by chance: how far off calibration is."""
    parts = np.array_split(np.argsort(chance, kind="stable"), 10)
    return float(np.mean([abs(chance[part].mean() - won[part].mean()) for part in parts]))


def table(found: dict[str, Any]) -> str:
    """Means over seeds with their 95 % intervals, at some numbers of votes; and what chosen votes save."""
    votes: Sequence[int] = found["votes"]
    lines = ["| votes | way | " + " | ".join(MEASURES) + " | overall gained | within gained |", "|---|" + "---|" * 6]
    shown = [
        row for row, count in enumerate(votes) if count in (0, 20, 50, 100, 200, 300, 500, 700) or count == votes[-1]
    ]
    for row in shown:
        for way, curves in found["curves"].items():
            values = np.array(curves)
            gained = values[:, row, :2] - values[:, 0, :2]
            cells = [interval(one) for one in [*values[:, row].T, *gained.T]]
            lines.append(f"| {votes[row]} | {way} | " + " | ".join(cells) + " |")
    lines.append("| ceiling | | " + " | ".join(interval(one) for one in np.array(found["ceiling"]).T) + " | | |")
    if {"random", "eig"} <= set(found["curves"]):
        lines += ["", *saved(found)]
    return "\n".join(lines)


def saved(found: dict[str, Any]) -> list[str]:
    """How many chosen votes reach what all random ones reach, by the means over seeds."""
    votes, lines = found["votes"], []
    for place, name in enumerate(MEASURES[:2]):
        random, eig = (np.mean(found["curves"][way], axis=0)[:, place] for way in ("random", "eig"))
        for row in (len(votes) // 3, 2 * len(votes) // 3, len(votes) - 1):
            reached = next((votes[at] for at, value in enumerate(eig) if value >= random[row]), None)
            lines.append(f"{name}: what {votes[row]} random votes reach, {reached or 'more'} chosen ones reach")
    return lines


def interval(values: Sequence[float]) -> str:
    """A mean over seeds with its interval."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.3f}"
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"


def plot(found: dict[str, Any], path: Path) -> None:
    """The learning curves: means over seeds, a band of twice the standard error, the ceiling as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for place, axis in enumerate(figure.subplots(1, 2, sharey=True)):
        for way, curves in found["curves"].items():
            values = np.array(curves)[:, :, place]
            mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
            axis.plot(found["votes"], mean, label=way)
            axis.fill_between(found["votes"], mean - 2 * error, mean + 2 * error, alpha=0.2)
        axis.axhline(np.mean(found["ceiling"], axis=0)[place], linestyle=":", color="grey", label="ceiling")
        axis.set(xlabel="votes", title=f"rank correlation, {MEASURES[place]}")
    axis.legend()
    figure.savefig(path)


def _ends(curve: Sequence[Sequence[float]]) -> list[tuple[str, float, float]]:
    return list(zip(MEASURES, curve[0], curve[-1], strict=True))


if __name__ == "__main__":
    main()
