"""A model of each of two people of different taste, on the votes of each: `python -m benchmarks collecting personal`.

On the bundled world an `aesthete` (quality counts nearly four times as much as alignment) and a `literalist` (the
other way round) vote on the same pairs of pictures, once each, in one store. From the bundled model on, the recipe
`synthetic` learns from the votes of each alone, as `train --annotator all` does. Each model, and the bundled one as it
is, is asked about new pairs, and its answers are compared with new votes of both: over all pairs, and over those in
which their true tastes differ. Beside them stands what knowing each taste gives. 95 % intervals over seeds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from dina_lrm.backbones.base import Backbone
from dina_lrm.data.encoding.comparisons import encode_comparisons
from dina_lrm.data.sources import read_comparisons
from dina_lrm.data.votes import NewPair, NewVote, VoteStore
from dina_lrm.data.votes.records import Side
from dina_lrm.evaluation.bootstrap import interval_of_mean
from dina_lrm.evaluation.readings import Reading
from dina_lrm.evaluation.scoring import score_comparisons
from dina_lrm.recipes.personal import personal_votes
from dina_lrm.recipes.synthetic import synthetic
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.comparisons import Labelling, SyntheticComparisons, sample_comparisons
from dina_lrm.synthetic.encoding import encode
from dina_lrm.training.config import TrainConfig
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train

PEOPLE: Final = ("aesthete", "literalist")
BUNDLED: Final = "bundled model"


@dataclass(frozen=True)
class Sizes:
    """How much is voted, learned and measured, for each seed; `rate` is the learning rate."""

    votes: int = 300
    steps: int = 60
    batch: int = 28
    rate: float = 3e-4
    pairs: int = 600


def main(words: list[str] | None = None) -> None:
    """Measure over seeds, write what each gave as it is there, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in Sizes().__dict__.items():
        parser.add_argument(f"--{name}", type=type(usual), default=usual)
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(5)])
    parser.add_argument("--out", type=Path, help="a JSON file that is written anew behind each seed, and gone on with")
    given = parser.parse_args(words)
    sizes = Sizes(given.votes, given.steps, given.batch, given.rate, given.pairs)
    found: dict[str, dict[str, float]] = {}
    if given.out is not None and given.out.is_file():
        found = json.loads(given.out.read_text())
    for seed in given.seeds:
        if str(seed) not in found:
            found[str(seed)] = measured(sizes, seed)
        if given.out is not None:
            given.out.write_text(json.dumps(found, indent=2) + "\n")
        print(f"seed {seed}: {found[str(seed)]}", flush=True)
    for name in next(iter(found.values())):
        values = np.array([one[name] for one in found.values()])
        print(f"{name}: {interval_of_mean(values).text('.1f', percent=True)}")
    for person in PEOPLE:
        for other in (_other(person), BUNDLED):
            for of in ("all", "disputed"):
                own, theirs = (f"{model} on votes of {person}, {of}" for model in (person, other))
                gain = interval_of_mean(np.array([one[own] - one[theirs] for one in found.values()]))
                print(f"{person}'s own model over that of {other}, {of}: {gain.text('+.1f', percent=True)}")


def measured(sizes: Sizes, seed: int) -> dict[str, float]:
    """Shares of votes that each model agrees with, by "MODEL on votes of PERSON, all|disputed"."""
    bundled = LatentRewardModel.from_pretrained("synthetic")
    models = {BUNDLED: bundled, **_trained(sizes, seed, bundled.backbone)}
    drawn = {person: _drawn(sizes.pairs, 2_000_000 + seed, person) for person in PEOPLE}
    first, second = (drawn[person] for person in PEOPLE)
    assert np.array_equal(first.images, second.images) and np.array_equal(first.pairs, second.pairs)
    disputed = (first.probability > 0.5) != (second.probability > 0.5)
    test = encode(first, bundled.backbone)
    found: dict[str, float] = {}
    for name, model in models.items():
        reading = Reading((model.config.noise_level,))
        margins = score_comparisons(model, test, (reading,)).margins[:, 0]
        found |= _agreed(name, margins > 0, drawn, disputed)
    for person in PEOPLE:
        found |= _agreed(f"{person}'s true taste", drawn[person].probability > 0.5, drawn, disputed)
    return found


def _agreed(
    name: str, ahead: np.ndarray, drawn: Mapping[str, SyntheticComparisons], disputed: np.ndarray
) -> dict[str, float]:
    found = {}
    for person, said in drawn.items():
        right = ahead == (said.preference > 0.5)
        found[f"{name} on votes of {person}, all"] = float(right.mean())
        found[f"{name} on votes of {person}, disputed"] = float(right[disputed].mean())
    return found


def _trained(sizes: Sizes, seed: int, backbone: Backbone) -> dict[str, LatentRewardModel]:
    """A model of each person, from a store that both voted in."""
    with tempfile.TemporaryDirectory() as place:
        votes = Path(place) / "votes.sqlite"
        _vote(votes, {person: _drawn(sizes.votes, 1_000_000 + seed, person) for person in PEOPLE})
        pairs = encode_comparisons(read_comparisons(votes), backbone, resolution=synthetic().model.sizes)
        found = {}
        for person in PEOPLE:
            (own,) = personal_votes(pairs, votes, person).votes
            result = train(TrainingPlan(_config(sizes, seed), own.pairs, Path(place) / person, quiet=True))
            found[person] = result.model.eval()
        return found


def _config(sizes: Sizes, seed: int) -> TrainConfig:
    base = synthetic()
    return replace(
        base,
        seed=seed,
        initial="synthetic",
        steps=sizes.steps,
        batch_size=sizes.batch,
        optimizer=replace(base.optimizer, lr=sizes.rate),
        ema=replace(base.ema, decay=0.9),
        log=replace(base.log, trackers=(), checkpoint_every=0),
    )


def _drawn(pairs: int, seed: int, person: str) -> SyntheticComparisons:
    """Pairs of two pictures of a prompt; the same pictures, whoever judges them."""
    return sample_comparisons(pairs, 2, seed, "personal", labels=Labelling((person,)))


def _vote(place: Path, drawn: Mapping[str, SyntheticComparisons]) -> None:
    """Both vote on every pair, but for those of which both pictures are the same."""
    with VoteStore.open(place) as store:
        for person, said in drawn.items():
            number = store.join(person)
            for row, (a, b) in enumerate(said.pairs.tolist()):
                if np.array_equal(said.images[a], said.images[b]):
                    continue
                first, second = (_png(place.parent / f"{picture}.png", said.images[picture]) for picture in (a, b))
                pair, better = store.place(NewPair(said.prompts[int(said.group[a])], first, second))
                answer: Side = better if said.preference[row] > 0.5 else "b" if better == "a" else "a"
                store.record(NewVote(pair, number, answer, "a", client_id=f"{person} {row}", ms=2_000))


def _png(path: Path, pixels: np.ndarray) -> Path:
    if not path.is_file():
        Image.fromarray(pixels).save(path)
    return path


def _other(person: str) -> str:
    return PEOPLE[1 - PEOPLE.index(person)]


if __name__ == "__main__":
    main()
