"""LPO: which pairs are kept, that the loss starts at ln 2 and moves winners up, step-level scores, what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dina_lrm.alignment.algorithms.lpo import _Count, _end_of_last
from dina_lrm.alignment.algorithms.lpo_settings import LpoSettings
from dina_lrm.alignment.algorithms.rollout import step_of
from dina_lrm.diffusion.process import VariancePreserving
from dina_lrm.generators.kernels import Ddim
from tests.alignment.runs import LPO, PROMPTS, a_generator, an_algorithm, updated, with_rewards


def settled(**changes):
    return replace(LPO, lpo=replace(LPO.lpo, **changes))


@pytest.mark.parametrize(
    "config", [LPO, settled(scored="clean"), settled(kernel="ddim", eta=1.0)], ids=["noisy", "clean", "ddim"]
)
def test_the_loss_is_ln_2_before_anything_was_learned(config):
    outcome = updated(config)
    assert outcome.loss == pytest.approx(math.log(2), abs=1e-4) and outcome.gradient_norm > 0
    assert outcome.details["kept"] > 0 and 0 < outcome.details["gap"] < 1


def test_an_update_makes_winners_likelier_than_losers():
    generator = a_generator()
    algorithm = an_algorithm(LPO, generator)
    pairs, _ = algorithm._trajectory(PROMPTS, [1, 2, 3], _Count(), 0)
    optimizer = torch.optim.SGD(generator.parameters.values(), lr=1e-3)
    sum(algorithm._loss(each).mean() for each in pairs).backward()
    optimizer.step()
    gain = 0.0
    for each in pairs:
        arguments = (generator, algorithm._kernel, each.x, each.level, each.next_level, each.conditioning)
        with torch.no_grad():
            new = step_of(*arguments)
            with generator.reference():
                old = step_of(*arguments)
        gain += float((new.log_ratio(old, each.winner) - new.log_ratio(old, each.loser)).sum())
    assert gain > 0


def test_winners_have_the_better_score_at_their_own_noise_level():
    generator = a_generator()
    algorithm = an_algorithm(LPO, generator)
    pairs, _ = algorithm._trajectory(PROMPTS, [1, 2, 3], _Count(), 0)
    model = algorithm.objective.rewards[0].model
    assert pairs
    for each in pairs:
        with torch.no_grad():
            winner, loser = (model.score_noisy(x, float(each.next_level), each.conditioning)
                             for x in (each.winner, each.loser))  # fmt: skip
        assert (winner > loser).all()
        gap = 2 * model.margin_probability(winner - loser, float(each.next_level)) - 1
        assert (gap > LPO.lpo.low).all()


def test_winners_have_the_better_score_at_the_level_of_their_state_where_that_is_asked_for():
    generator = a_generator()
    algorithm = an_algorithm(settled(scored_at="state"), generator)
    pairs, _ = algorithm._trajectory(PROMPTS, [1, 2, 3], _Count(), 0)
    own, _ = an_algorithm(LPO, generator)._trajectory(PROMPTS, [1, 2, 3], _Count(), 0)
    model = algorithm.objective.rewards[0].model
    assert pairs and any(not torch.equal(a.winner, b.winner) for a, b in zip(pairs, own, strict=False))
    for each in pairs:
        with torch.no_grad():
            winner, loser = (model.score_noisy(x, float(each.level), each.conditioning)
                             for x in (each.winner, each.loser))  # fmt: skip
        gap = 2 * model.margin_probability(winner - loser, float(each.level)) - 1
        assert (winner > loser).all() and (gap > LPO.lpo.low).all()


OPTIONS = [{"scored_at": "state"}, {"last_step": True}, {"scored_at": "state", "last_step": True}]


@pytest.mark.parametrize("options", OPTIONS)
def test_neither_option_changes_the_way_of_a_sample(options):
    generator = a_generator()
    plain, found = (an_algorithm(config, generator)._trajectory(PROMPTS, [1, 2, 3], _Count(), 0)[1]
                    for config in (LPO, settled(**options)))  # fmt: skip
    assert torch.equal(plain, found)


@pytest.mark.parametrize(
    ("kernel", "shift", "end"),
    [({}, 0.0, 0.0), ({"kernel": "ddim", "eta": 1.0}, 0.01, 0.001), ({"kernel": "cps"}, 0.01, 0.001)],
)
def test_the_last_step_makes_pairs_too(kernel, shift, end, monkeypatch):
    generator = a_generator()
    levels = generator.levels(4)
    # The bundled schedule's last step begins at .001, from where ddim and cps have no way down
    monkeypatch.setattr(generator, "levels", lambda steps: levels + shift * (levels > 0) * (levels < 1))
    plain, algorithm = (an_algorithm(settled(last_step=on, **kernel), generator) for on in (False, True))
    assert set(algorithm._thresholds) == {*plain._thresholds, 3}
    found = algorithm._trajectory(PROMPTS, [1, 2, 3], _Count(), 0)[0]
    ends = [round(float(each.next_level), 6) for each in found]
    assert ends[-1] == end and end not in ends[:-1] and float(found[-1].level) == float(algorithm.levels[3])
    torch.testing.assert_close(algorithm._loss(found[-1]), torch.full((len(found[-1].x),), math.log(2)))


def test_the_last_step_of_stable_diffusion_is_as_noisy_as_the_published_table_says():
    """Timestep 1 to 0 of 20 steps: 0.0206, the least of the deviations that its thresholds lie between."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    process, nothing = VariancePreserving((1 - betas).cumprod(0)), torch.zeros(1, 1, 1, 1)
    std = Ddim(1.0).step(process, nothing, nothing, 0.002, _end_of_last("ddim", 0.002)).std.item()
    assert std == pytest.approx(0.0206, abs=5e-5)


def test_thresholds_grow_with_the_noise_of_the_steps_and_levels_above_the_highest_are_not_trained():
    algorithm = an_algorithm(settled(low=0.1, high=0.3, highest=0.9))
    numbers = sorted(algorithm._thresholds)
    assert all(algorithm.levels[number] <= 0.9 for number in numbers) and numbers[0] > 0
    assert [algorithm._thresholds[number] for number in numbers] == sorted(algorithm._thresholds.values(), reverse=True)
    assert set(an_algorithm(settled(low=0.3, high=0.3))._thresholds.values()) == {0.3}


def test_a_level_within_two_thousandths_of_the_highest_is_trained():
    """Timestep 951 of a thousand, where papers say 950, is level .952."""
    of_ten = replace(LPO.generator, sampling_steps=10)
    levels = an_algorithm(replace(LPO, generator=of_ten)).levels
    for below, trained in ((0.0015, True), (0.003, False)):
        config = replace(settled(highest=round(float(levels[1]) - below, 6)), generator=of_ten)
        assert (1 in an_algorithm(config)._thresholds) == trained


def test_a_trajectory_is_a_function_of_each_images_seed():
    algorithm = an_algorithm(LPO)
    both = algorithm._trajectory(PROMPTS[:2], [5, 6], _Count(), 0)[1]
    alone = algorithm._trajectory(PROMPTS[1:2], [6], _Count(), 0)[1]
    torch.testing.assert_close(both[1:], alone, atol=1e-4, rtol=1e-4)


def test_without_a_pair_nothing_is_learned_and_that_is_said():
    outcome = updated(settled(low=0.99, high=0.99))
    assert outcome.details["pairs"] == 0 and math.isnan(outcome.loss) and outcome.gradient_norm == 0


def test_several_optimiser_steps_share_the_pairs():
    generator = a_generator()
    norms = []
    algorithm = an_algorithm(settled(updates=3), generator)
    algorithm.update(0, lambda: norms.append(1.0) or 1.0)
    assert len(norms) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: an_algorithm(with_rewards(LPO, "sharpness")), "accepted: one reward latent:MODEL"),
        (lambda: with_rewards(LPO, "latent:synthetic", "sharpness"), "one reward of weight 1"),
        (lambda: an_algorithm(settled(highest=0.01)), "0.01 is below all levels that can be trained"),
        (lambda: LpoSettings(candidates=1), "at least two"),
        (lambda: LpoSettings(low=0.5, high=0.4), "0 <= low <= high"),
        (
            lambda: an_algorithm(settled(kernel="cps", last_step=True)),
            "lpo.last_step: with the kernel cps the last step",
        ),
        (lambda: LpoSettings(scored="clean", scored_at="state"), "lpo.scored_at.*candidate with lpo.scored clean"),
        (lambda: LpoSettings(epsilon=1.0), "between 0 and 1"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_seeds_alone_decide_what_is_drawn():
    algorithm = an_algorithm(LPO)
    drawn = [algorithm._noise([1, 2], 0, 0), algorithm._noise([1, 2], 0, 1), algorithm._noise([2, 1], 0, 0)]
    assert torch.equal(drawn[0], drawn[2].flip(0)) and not np.allclose(drawn[0], drawn[1])
