"""Training of several scores: each from what is said of it, alone as with others, with what is missing left aside."""

import dataclasses
import json

import pytest
import torch

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.diffusion.process import RectifiedFlow
from dina_lrm.preference.presets import preference_preset
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.metrics import read_lines
from dina_lrm.training.config import ObjectiveSettings, TeacherSettings, TrainConfig
from dina_lrm.training.objective import comparison_loss
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from tests.models import tiny_reward_model
from tests.training.tiny_runs import tiny_comparisons, tiny_config

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
NAMES = ("overall", "quality")
ONE = {"overall": 1.0, "quality": 1.0}


def several(every: int = 2) -> EncodedComparisons:
    """Of every second pair people said something of quality too: the opposite of what they prefer."""
    data = tiny_comparisons(prompts=4)
    said = torch.where(torch.arange(len(data)) % every == 0, 1 - data.preference, torch.nan)
    return data.with_named({"quality": said}, "quality")


def several_config(folder, **changes) -> TrainConfig:
    config = tiny_config(folder)
    return dataclasses.replace(config, model=dataclasses.replace(config.model, scores=NAMES), **changes)


class Scorer(torch.nn.Module):
    """Two scores: the scaled mean, and minus it."""

    def forward(self, noisy, level, conditioning):
        mean = noisy.mean(dim=(1, 2, 3))
        return torch.stack([2 * mean, -3 * mean], dim=1)


def test_the_loss_is_that_of_all_that_is_said():
    data, objective = several(), preference_preset("paper")
    batch = data.batch(torch.arange(len(data)), scores=ONE)
    level, noise = torch.full((batch.groups,), 0.3), [torch.zeros(batch.groups, *batch.latents.shape[1:])]
    found = comparison_loss(Scorer(), RectifiedFlow(), objective, batch, level, noise)
    scores = Scorer()(0.7 * batch.latents, None, None)
    margin = scores[batch.first] - scores[batch.second]
    overall = objective(margin[:, 0], 0.3, data.preference)
    quality = objective(margin[::2, 1], 0.3, 1 - data.preference[::2])
    torch.testing.assert_close(found.loss, torch.cat([overall, quality]).mean())
    assert found.judged.score.tolist() == [0] * len(overall) + [1] * len(quality)
    alone = data.batch(torch.arange(len(data)), scores={"overall": 0.0, "quality": 2.0})
    torch.testing.assert_close(
        comparison_loss(Scorer(), RectifiedFlow(), objective, alone, level, noise).loss, quality.mean()
    )


def test_a_batch_that_says_nothing_of_a_score_has_no_judgement_of_it():
    data = several()
    odd = data.batch(torch.tensor([1, 3]), scores=ONE)
    assert odd.judgements.score.tolist() == [0, 0]
    assert data.batch(torch.tensor([1, 3]), scores={"beauty": 1.0}).judgements.pair.tolist() == []


def test_a_run_learns_each_score_from_what_is_said_of_it_and_resumes_to_the_bit(tiny_folder, tmp_path):
    data, config = several(), several_config(tiny_folder, steps=30)
    result = train(TrainingPlan(config, data, tmp_path / "straight", quiet=True))
    found = result.validation
    assert found is not None and set(found.scores) == set(NAMES)
    assert found.scores["quality"].pairs == -(-len(data) // 2) and found.scores["overall"].pairs == len(data)
    assert found.scores["overall"].accuracy > 0.8 and found.scores["quality"].accuracy > 0.8
    read = LatentRewardModel.from_pretrained(tmp_path / "straight" / "model")
    assert read.config.names == NAMES and set(read.config.other_scales) == {"quality"}
    quality = read.config.scales["quality"]
    assert (quality.mean, quality.std) == (found.scores["quality"].score_mean, found.scores["quality"].score_std)
    line = [row for row in read_lines(tmp_path / "straight" / "metrics.jsonl") if "loss" in row][-1]
    assert {"loss/overall", "accuracy/quality"} <= set(line)
    train(TrainingPlan(dataclasses.replace(config, steps=4), data, tmp_path / "cut", quiet=True))
    again = train(TrainingPlan(config, data, tmp_path / "cut", resume=True, quiet=True)).model.head.state_dict()
    straight = result.model.head.state_dict()
    assert all(torch.equal(straight[name], again[name]) for name in straight)


def test_a_teacher_fills_one_score_and_says_what_people_did_not(tiny_folder, tmp_path):
    tiny_reward_model(tiny_folder, scores=("a", "b")).save_pretrained(tmp_path / "teacher")
    teacher = TeacherSettings(weight=0.5, of={"quality": f"{tmp_path / 'teacher'}?score=b"})
    config = several_config(tiny_folder, steps=1, objective=ObjectiveSettings(teacher=teacher))
    found = train(TrainingPlan(config, several(), tmp_path / "run", quiet=True)).validation
    assert found is not None and found.scores["quality"].pairs == len(several())


def test_what_is_said_of_no_score_is_refused_with_what_is(tiny_folder, tmp_path):
    config = tiny_config(tiny_folder)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, scores=("beauty",)))
    with pytest.raises(ValueError, match=r"none of the 12 .* of the scores beauty; said: .*overall"):
        train(TrainingPlan(config, tiny_comparisons(prompts=4), tmp_path / "run", quiet=True))
    for changes, told in (
        ({"score_weights": {"beauty": 1.0}}, "score_weights: 'beauty'; accepted: overall, quality"),
        ({"score_weights": {"quality": -1.0}}, "score_weights.quality: got -1.0"),
        ({"score_weights": {"quality": 0.0, "overall": 0.0}}, "at least one score above 0"),
        ({"teacher": TeacherSettings("synthetic")}, "teachers are objective.teacher.of"),
    ):
        with pytest.raises(ValueError, match=told):
            several_config(tiny_folder, objective=ObjectiveSettings(**changes))


def test_settings_of_an_earlier_version_are_read_as_those_of_one_score(tiny_folder):
    plain = json.loads(json.dumps(tiny_config(tiny_folder).to_dict()))
    del plain["model"]["scores"], plain["model"]["main_score"], plain["objective"]["score_weights"]
    del plain["objective"]["teacher"]["of"]
    assert TrainConfig.from_dict(plain) == tiny_config(tiny_folder)
