"""What votes teach beside a model's score: directions by their laws, and the folder of the model that comes of it."""

import numpy as np
import pytest
import torch

from dina_lrm.collecting.choice.learnt_model import learnt_model
from dina_lrm.collecting.choice.reading import Reading, read_pictures
from dina_lrm.collecting.choice.taste import directions
from dina_lrm.reward_model.formats import ours
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError
from tests.data.votes.drawn import png
from tests.models import randomised, tiny_config

PROMPTS = ["a red cube", "a red cube", "a red cube", "a cat", "a cat", "a tree"]


def drawn(count=80, prompts=20, numbers=12, seed=0):
    """A reading whose pictures differ mostly along one direction, and whose prompts differ along another."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(count, numbers)) * 0.1
    own[:, 0] += 5 * rng.normal(size=count)
    of_prompt = np.arange(count) % prompts
    own[:, 1] += 50 * rng.normal(size=prompts)[of_prompt]
    return Reading(rng.normal(size=count) * 2, own), [str(one) for one in of_prompt]


def test_directions_are_how_pictures_of_a_prompt_differ():
    reading, prompts = drawn()
    found = directions(reading, prompts)
    features = found.features(reading)
    own = features[:, 1:].copy()
    for prompt in set(prompts):
        rows = [row for row, one in enumerate(prompts) if one == prompt]
        own[rows] -= own[rows].mean(axis=0)
    assert np.square(own).mean(axis=0).sum() == pytest.approx((0.3 * reading.scores.std()) ** 2)
    assert own.T @ own == pytest.approx(np.diag(np.diag(own.T @ own)), abs=1e-9)
    weights = np.random.default_rng(1).normal(size=features.shape[1])
    assert found.score(weights).of(reading) == pytest.approx(features @ weights)
    assert found.score(found.before().weights).of(reading) == pytest.approx(reading.scores)


def test_pictures_that_do_not_differ_within_prompts_leave_the_score_alone():
    reading, _ = drawn()
    alone = directions(reading, [str(row) for row in range(80)])
    assert alone.features(reading).shape == (80, 1)
    with pytest.raises(DinaError, match="not finite"):
        directions(Reading(np.array([1.0, np.nan]), np.zeros((2, 3))), ["a", "a"])


def test_a_learnt_score_is_the_score_of_the_model_that_is_written(tiny_folder, tmp_path):
    first = randomised(LatentRewardModel.build(tiny_config(tiny_folder)))
    first.save_pretrained(tmp_path / "first")
    pictures = [png(number, 32) for number in range(len(PROMPTS))]
    before, coin = tmp_path / "first", np.random.default_rng(0)
    for turn in ("once", "again"):
        model = LatentRewardModel.from_pretrained(before)
        reading = read_pictures(model, pictures, PROMPTS, batch_size=4)
        assert reading.scores == pytest.approx(model.score(pictures, PROMPTS).numpy(), abs=1e-5)
        found = directions(reading, PROMPTS)
        learnt = found.score(coin.normal(size=1 + found.map.shape[1]))
        wanted = learnt.of(reading)
        ours.write(tmp_path / turn, learnt_model(ours.read(before), learnt, 9, 1.5, 0.5, "first"))
        taught = LatentRewardModel.from_pretrained(tmp_path / turn)
        assert taught.score(pictures, PROMPTS).numpy() == pytest.approx(wanted, rel=1e-4, abs=1e-4)
        assert (taught.config.score_mean, taught.config.score_std) == (1.5, 0.5)
        assert taught.config.notes["learnt"]["votes"] == 9 and taught.config.head.statistics
        assert torch.isfinite(taught.score(pictures, PROMPTS, noise_level=(0.2, 0.5))).all()
        before = tmp_path / turn


def test_pictures_and_prompts_are_equally_many(tiny_folder):
    model = LatentRewardModel.build(tiny_config(tiny_folder))
    with pytest.raises(DinaError, match="2 pictures and 1 prompts"):
        read_pictures(model, [png(0), png(1)], ["a"])
