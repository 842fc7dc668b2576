"""Labels of a teacher: what they are, that a run with them resumes, and what is refused."""

import dataclasses

import pytest
import torch

from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.processes import Processes
from dina_lrm.training.config import ObjectiveSettings, TeacherSettings
from dina_lrm.training.dry_run import dry_run
from dina_lrm.training.labels.distillation import distilled
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from tests.models import tiny_reward_model
from tests.training.tiny_runs import tiny_comparisons, tiny_config

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


@pytest.fixture(scope="module")
def teacher(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "model"
    tiny_reward_model(tiny_folder).save_pretrained(folder)
    return str(folder)


def labels(settings, data, folder):
    return distilled(settings, data, Processes(), shown=False).preference


def test_labels_are_a_mixture_with_the_teachers_win_probabilities(teacher, tmp_path):
    data = tiny_comparisons(ties=1)
    model = LatentRewardModel.from_pretrained(teacher)
    batch = data.batch(torch.arange(len(data)))
    scores = model.score_latents(batch.latents, batch.conditioning)
    expected = model.margin_probability(scores[batch.first] - scores[batch.second])
    whole = labels(TeacherSettings(teacher, 1.0), data, tmp_path)
    torch.testing.assert_close(whole, expected, atol=1e-5, rtol=1e-4)
    half = labels(TeacherSettings(teacher, 0.5), data, tmp_path)
    torch.testing.assert_close(half, (data.preference + whole) / 2)
    assert labels(TeacherSettings(teacher, 0.0), data, tmp_path) is data.preference
    assert labels(TeacherSettings(), data, tmp_path) is data.preference


def test_a_run_with_a_teacher_differs_and_resumes_bit_identically(teacher, tiny_folder, tmp_path):
    plain = tiny_config(tiny_folder)
    config = dataclasses.replace(plain, objective=ObjectiveSettings(teacher=TeacherSettings(teacher, 0.5)))
    data = tiny_comparisons()
    straight = train(TrainingPlan(config, data, tmp_path / "straight", quiet=True)).model.head.state_dict()
    train(TrainingPlan(dataclasses.replace(config, steps=4), data, tmp_path / "cut", quiet=True))
    resumed = train(TrainingPlan(config, data, tmp_path / "cut", resume=True, quiet=True)).model.head.state_dict()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    without = train(TrainingPlan(plain, data, tmp_path / "plain", quiet=True)).model.head.state_dict()
    assert any(not torch.equal(straight[name], without[name]) for name in straight)


def test_a_dry_run_leaves_the_teacher_out(tiny_folder):
    missing = ObjectiveSettings(teacher=TeacherSettings("no/such-model", 0.5))
    config = dataclasses.replace(tiny_config(tiny_folder), objective=missing)
    assert dry_run(config, tiny_comparisons()).total_steps == 6


def test_a_teacher_of_another_generator_is_refused(teacher, tiny_folder, tmp_path):
    data = tiny_comparisons()
    other = dataclasses.replace(tiny_reward_model(tiny_folder).backbone.config, prompt_length=7)
    data.save(tmp_path / "cache", other)
    with pytest.raises(
        ValueError, match=r"objective\.teacher\.name .* accepted: a teacher on the generator of the data"
    ):
        labels(TeacherSettings(teacher, 0.5), type(data).load(tmp_path / "cache"), tmp_path)
    with pytest.raises(ValueError, match=r"objective\.teacher\.weight: got 1\.5; accepted: a number in \[0, 1\]"):
        TeacherSettings(teacher, 1.5)
