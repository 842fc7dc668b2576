"""A loss of groups: a mean over groups of the mean over their pairs, whatever cuts batches, for each score."""

import dataclasses
from itertools import pairwise

import pytest
import torch

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.pairs import SAYS_NOTHING
from dina_lrm.preference.groups import group_preference_loss
from dina_lrm.preference.presets import preference_preset
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.processes import Processes
from dina_lrm.training.config import ObjectiveSettings, TeacherSettings
from dina_lrm.training.dry_run import dry_run
from dina_lrm.training.labels.distillation import distilled
from dina_lrm.training.labels.groups import weighted_by_group, with_all_pairs
from dina_lrm.training.objective import comparison_loss
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from tests.models import SHAPE, some_conditioning, some_latents, tiny_reward_model
from tests.training.tiny_runs import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
GROUPS = ((0, 1, 2, 3), (4, 5, 6), (7, 8))


def chains() -> EncodedComparisons:
    """Three prompts with four, three and two pictures, of which only neighbours are compared."""
    pairs = [(a, b, prompt) for prompt, group in enumerate(GROUPS) for a, b in pairwise(group)]
    first, second, prompt = (torch.tensor(column) for column in zip(*pairs, strict=True))
    return EncodedComparisons.from_tensors(
        some_latents(9), some_conditioning(3), first, second, prompt, torch.ones(len(pairs))
    )


@pytest.fixture(scope="module")
def teacher(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "model"
    tiny_reward_model(tiny_folder, scores=("a", "b"), score_std=0.5).save_pretrained(folder)
    return str(folder)


def test_all_pairs_of_a_prompt_are_added_and_say_nothing():
    data = chains()
    whole = with_all_pairs(data, by_name=True)
    assert len(data) == 6 and len(whole) == 6 + 3 + 1
    assert whole.pairs.preferences[6:] == [SAYS_NOTHING] * 4 and set(whole.pairs.labels) == {"overall"}
    assert whole.pairs.counts() == {"overall": 6}
    assert with_all_pairs(whole, by_name=True) is whole
    assert with_all_pairs(data, by_name=False).weight.tolist() == [1.0] * 6 + [0.0] * 4
    assert len(set(whole.pairs.number.tolist())) == 10
    for prompt, group in enumerate(GROUPS):
        here = whole.pairs.prompt == prompt
        sides = zip(whole.pairs.image_a[here].tolist(), whole.pairs.image_b[here].tolist(), strict=True)
        assert {frozenset(pair) for pair in sides} == {frozenset((a, b)) for a in group for b in group if a < b}


@pytest.mark.parametrize("share", [0.0, 0.9])
@pytest.mark.parametrize("named", [True, False])
def test_what_is_learned_of_a_teacher_is_the_loss_of_its_groups(share, named, teacher, tiny_folder):
    data = chains()
    if not named:  # where people said something, and a teacher does not, it stays
        unsaid = {"preferences": [SAYS_NOTHING] * len(data), "weight": torch.zeros(len(data))}
        data = data.with_pairs(dataclasses.replace(data.pairs, **unsaid), "unsaid")
    whole = with_all_pairs(data, by_name=named)
    asked = f"{teacher}?score=b"
    judge = LatentRewardModel.from_pretrained(asked)
    targets = judge.score_latents(some_latents(9), some_conditioning(3)[torch.tensor([0] * 4 + [1] * 3 + [2] * 2)])
    targets = judge.normalize(targets)
    gap = share * float(targets.std())
    settings = TeacherSettings(**({"of": {"q": asked}} if named else {"name": asked}), weight=1.0, gap=gap)
    scores = {"q": 1.0} if named else {}
    data = weighted_by_group(distilled(settings, whole, Processes(), shown=False), tuple(scores))

    student = tiny_reward_model(tiny_folder)
    objective = preference_preset("paper")
    batch = data.batch(torch.arange(len(data)), scores=scores)
    level, noise = torch.tensor([0.2, 0.5, 0.8]), [torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))]
    found = comparison_loss(student, student.process, objective, batch, level, noise)

    mask = torch.tensor([[True] * len(group) + [False] * (4 - len(group)) for group in GROUPS])
    padded = {"ours": torch.zeros(3, 4), "theirs": torch.zeros(3, 4)}
    rows = {int(row): number for number, row in enumerate(batch.images[0].rows)}
    for number, group in enumerate(GROUPS):
        for place, image in enumerate(group):
            padded["ours"][number, place] = found.scores[rows[image], 0]
            padded["theirs"][number, place] = targets[image]
    sigma = student.process.sigma(level)
    expected = group_preference_loss(padded["ours"], padded["theirs"], mask, sigma, objective, gap)
    separated = expected > 0
    torch.testing.assert_close(found.loss, expected[separated].mean())
    assert found.judged.weight.sum() == pytest.approx(int(separated.sum()))
    parts = [
        comparison_loss(
            student,
            student.process,
            objective,
            data.batch(rows, scores=scores),
            level[data.pairs.prompt[rows].unique()],
            [noise[0][data.pairs.prompt[rows].unique()]],
            total_weight=float(found.judged.weight.sum()),
        ).loss
        for rows in torch.arange(len(data)).tensor_split(3)
    ]
    torch.testing.assert_close(sum(parts), found.loss)


def test_a_group_of_two_is_a_pair_and_its_own_weights_count_within_the_group():
    data = chains()
    alone = data.subset(torch.tensor([5]))
    assert weighted_by_group(alone, ()).weight.tolist() == [1.0]
    heavy = data.with_pairs(dataclasses.replace(data.pairs, weight=torch.tensor([1.0, 1, 2, 5, 5, 7])), "heavy")
    assert weighted_by_group(heavy, ()).weight.tolist() == [0.25, 0.25, 0.5, 0.5, 0.5, 1.0]
    named = weighted_by_group(heavy, ("overall", "absent"))
    assert named.weight.tolist() == heavy.weight.tolist()
    assert named.pairs.judgements(torch.tensor([2, 4]), {"overall": 2.0}).weight.tolist() == [1.0, 1.0]
    assert named.subset(torch.tensor([2])).pairs.shares["overall"].tolist() == [0.5]


def test_a_run_learns_groups_that_teachers_judge(teacher, tiny_folder, tmp_path):
    taught = TeacherSettings(weight=1.0, of={"q": f"{teacher}?score=a", "r": f"{teacher}?score=b"}, gap=0.1)
    config = tiny_config(tiny_folder)
    config = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, scores=("q", "r")),
        objective=ObjectiveSettings(teacher=taught, weighting="group"),
        steps=2,
        validation_fraction=0.0,
    )
    result = train(TrainingPlan(config, chains(), tmp_path / "run", quiet=True))
    assert result.model.config.names == ("q", "r")
    assert dry_run(config, chains()).total_steps == 2
