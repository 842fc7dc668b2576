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

import numpy as np
from scipy.special import ndtr

from benchmarks.collecting.contested import IMAGES, KINDS, correlations, world
from benchmarks.collecting.curves import CEILING, MEASURES, tell
from benchmarks.collecting.kept import Kept
from dina_lrm import LatentRewardModel
from dina_lrm.collecting.asking.learning import noise_of
from dina_lrm.collecting.asking.opinions import chances
from dina_lrm.collecting.choice.posterior import Posterior, fit_posterior
from dina_lrm.collecting.choice.taste import directions
from dina_lrm.collecting.choice.ways import choose
from dina_lrm.synthetic.utility import PERSONALITIES

_CEILING_VOTES = 50.0


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
    asked = {"part": "taught", **{name: getattr(options, name) for name in names}}
    kept = Kept(options.out, asked)
    model = LatentRewardModel.from_pretrained("synthetic", device="cpu")
    for seed in options.seeds:
        _measure(model, options, seed, kept)
    tell(kept, asked, options.plot)


def _measure(model: LatentRewardModel, options: argparse.Namespace, seed: int, kept: Kept) -> None:
    """What a seed lacks still, told as it comes."""
    ways = [way for way in options.ways if not kept.has(seed, way)]
    if not ways and kept.has(seed, CEILING):
        return
    taught = _Taught(model, options, seed)
    for way in ways:
        curve = taught.curve(way, options.votes, options.batch)
        told = ", ".join(f"{name} {a:.3f} to {b:.3f}" for name, a, b in _ends(curve))
        print(f"seed {seed}, {way}: {told}", flush=True)
        kept.add(seed, way, {"curve": curve})
    if not kept.has(seed, CEILING):
        kept.add(seed, CEILING, {"measures": taught.ceiling()})


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


def _ends(curve: Sequence[Sequence[float]]) -> list[tuple[str, float, float]]:
    return list(zip(MEASURES, curve[0], curve[-1], strict=True))


if __name__ == "__main__":
    main()
