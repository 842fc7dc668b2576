"""A server answers with every score of a model by name, and with the main one where one is wanted."""

import pytest
import torch

from dina_lrm.reward_model.config import ScoreScale
from dina_lrm.serving.items import LatentItem, ModelScores
from dina_lrm.serving.latent import LatentServed
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.protocols import latents_v2
from tests.models import some_conditioning, some_latents, tiny_reward_model


def items(count):
    told = some_conditioning(count)
    return [LatentItem(latents, told[[row]], (0.3,), seed=7) for row, latents in enumerate(some_latents(count))]


def answer(served, kinds=("raw", "z")):
    scores = ModelScores("dina", tuple(served.score(items(2))))
    return latents_v2.answer([(served, scores)], kinds, {})["results"]["dina"]


def test_all_scores_stand_beside_the_main_one(tiny_folder):
    scales = {"quality": ScoreScale(1.0, 2.0)}
    model = tiny_reward_model(tiny_folder, scores=("overall", "quality"), score_mean=0.5, other_scales=scales)
    found, quality = answer(LatentServed("dina", model)), answer(LatentServed("dina", model.named("quality")))
    assert found["named"]["overall"] == found["scores"] and quality["named"] == found["named"]
    assert quality["scores"] == found["named"]["quality"]
    raw = found["named"]["quality"]["raw"]
    assert found["named"]["quality"]["z"] == pytest.approx([(value - 1) / 2 for value in raw])
    told = LatentServed("dina", model).info()
    assert told["scores"] == ["overall", "quality"] and told["main_score"] == "overall"
    assert told["scales"]["quality"] == {"mean": 1.0, "std": 2.0, "temperature": 1.0}


def test_a_score_without_a_scale_has_no_z_score_and_a_weighted_sum_no_likelihood(tiny_folder):
    model = tiny_reward_model(tiny_folder, scores=("a", "b"))
    assert answer(LatentServed("dina", model), ("raw",))["named"]["b"]["z"] == [None, None]
    view = model.weighted({"a": 1.0, "b": -1.0})
    found = answer(LatentServed("dina", view))
    named = found["named"]
    expected = torch.tensor(named["a"]["raw"]) - torch.tensor(named["b"]["raw"])
    assert found["scores"]["raw"] == found["scores"]["z"] == pytest.approx(expected.tolist(), abs=1e-5)
    with pytest.raises(Problem, match="weighted sum"):
        LatentServed("dina", view).probability(0.1, ())


def test_a_model_of_one_score_answers_as_before(tiny_folder):
    assert "named" not in answer(LatentServed("dina", tiny_reward_model(tiny_folder)), ("raw",))
