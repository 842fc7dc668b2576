"""How well a taste is learnt: votes on drawn photographs, training, and the order of photographs nobody voted on.

The voter answers the server of `dina-lrm annotate` as its page does, likes what the drawing knows, and errs by a normal
deviation of `--doubt` in the difference (the taste of the photographs has a deviation of about 0.5). Printed: how many
votes were against the taste, seconds of processor time of training and ranking, and the rank correlation with its 95 %
interval by a bootstrap over the photographs.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.stats import spearmanr

from dina_lrm import TrainingPlan, rank, train
from dina_lrm.collecting.asking.job import served
from dina_lrm.collecting.asking.visitor import Visitor
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.recipes import recipe
from dina_lrm.recipes.data import data_for
from dina_lrm.synthetic.photographs import write_photographs


def main(words: list[str] | None = None) -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("photographs", 40), ("unseen", 60), ("votes", 400), ("steps", 50), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--doubt", type=float, default=0.0)
    options = parser.parse_args(words)
    with TemporaryDirectory() as place:
        folder = Path(place)
        likes = write_photographs(folder / "photos", options.photographs, seed=2 * options.seed)
        unseen = write_photographs(folder / "unseen", options.unseen, seed=2 * options.seed + 1)
        wrong, votes = voted(folder, likes, options.votes, options.doubt, options.seed)
        start = time.process_time()
        config = replace(recipe("synthetic"), steps=options.steps, seed=options.seed)
        data = data_for(config, str(folder / "votes.sqlite"))
        train(TrainingPlan(config, data, folder / "run", quiet=True))
        found = rank(folder / "unseen", str(folder / "run" / "model"), out=folder / "ranking.html")
        seconds = time.process_time() - start
        scores = np.array([one.score for one in found.ranking.pictures])
        true = np.array([unseen[one.image] for one in found.ranking.pictures])
        low, high = interval(scores, true)
        print(
            f"{votes} votes ({wrong} against the taste) on {options.photographs} photographs, {options.steps} steps, "
            f"{seconds:.0f} s of processor: rank correlation {spearmanr(scores, true).statistic:.3f} "
            f"({low:.3f} to {high:.3f}) on {options.unseen} unseen",
            flush=True,
        )


def voted(folder: Path, likes: Mapping[str, float], count: int, doubt: float, seed: int) -> tuple[int, int]:
    """Vote on pairs as the page shows them; returns how many votes were against the taste, and their number."""
    random, wrong, votes = _random(seed), 0, 0
    liked = {hashlib.sha256((folder / "photos" / name).read_bytes()).hexdigest(): like for name, like in likes.items()}
    place, out = str(folder / "photos"), folder / "votes.sqlite"
    with served(AnnotateSettings(place, out=out, controls=0, repeats=0, port=0, seed=seed)) as (address, _):
        me = Visitor(address, "me")
        for votes, ask in enumerate(me.asks(count), 1):  # noqa: B007 - their number is what is returned
            left, right = liked[ask.left], liked[ask.right]
            seen = left - right + doubt * random.normal()
            wrong += (seen > 0) != (left > right)
            me.vote(ask, "left" if seen > 0 else "right")
    return wrong, votes


def interval(scores: np.ndarray, true: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """The 95 % interval of the rank correlation, photographs drawn with replacement."""
    random = _random(0)
    rows = (random.integers(0, len(true), len(true)) for _ in range(draws))
    low, high = np.percentile([spearmanr(scores[row], true[row]).statistic for row in rows], [2.5, 97.5])
    return float(low), float(high)


def _random(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 11])


if __name__ == "__main__":
    main()
