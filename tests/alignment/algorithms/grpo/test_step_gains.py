"""Step rewards as numbers: what gains sum to, what cancels, whose deviation divides them, that they are unbiased."""

import pytest
import torch

from dina_lrm.alignment.algorithms.advantages import grpo_advantages
from dina_lrm.alignment.algorithms.grpo.level_scales import LevelScales, level_scales
from dina_lrm.alignment.algorithms.grpo.noise_weights import noise_weights
from dina_lrm.alignment.algorithms.grpo.step_gains import step_advantages, step_gains
from dina_lrm.alignment.algorithms.lpo_settings import LpoSettings
from dina_lrm.alignment.algorithms.step_groups import step_groups
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.kernels import GaussianStep

IDS = torch.tensor([0, 1, 0, 1, 0, 1])


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gains_sum_to_the_last_score_minus_the_first():
    scores = drawn(6, 4)
    torch.testing.assert_close(step_gains(scores).sum(1), scores[:, -1] - scores[:, 0])
    mixed = step_gains(scores, drawn(6, seed=1), 0.25)
    torch.testing.assert_close(mixed, 0.25 * scores.diff(dim=1) + 0.75 * drawn(6, seed=1)[:, None])


@pytest.mark.parametrize("scope", ["step", "trajectory"])
def test_an_offset_of_a_level_changes_nothing_and_its_scale_does(scope):
    scores, offsets = drawn(6, 4), torch.tensor([5.0, -3.0, 100.0, 0.0], dtype=torch.float64)
    plain = step_advantages(step_gains(scores), IDS, scope).values
    torch.testing.assert_close(step_advantages(step_gains(scores + offsets), IDS, scope).values, plain)
    scaled = step_advantages(step_gains(scores * offsets), IDS, scope).values
    assert not torch.allclose(scaled, plain, atol=0.1)


@pytest.mark.parametrize("scope", ["step", "trajectory"])
def test_without_a_share_of_gains_it_is_flow_grpo(scope):
    final = drawn(6, seed=2).float()
    plain = grpo_advantages(final, IDS)
    found = step_advantages(step_gains(drawn(6, 4).float(), final, 0.0), IDS, scope)
    for column in found.values.unbind(1):
        if scope == "step":
            assert torch.equal(column, plain.values)
        torch.testing.assert_close(column, plain.values, atol=1e-6, rtol=1e-5)


def test_a_deviation_over_the_trajectory_leaves_small_steps_small():
    gains = drawn(6, 2) * torch.tensor([1.0, 1e-3])
    step, trajectory = (step_advantages(gains, IDS, scope).values.abs().mean(0) for scope in ("step", "trajectory"))
    assert step[1] > 0.5 and trajectory[1] < 5e-3 and trajectory[0] > 0.5


def test_steps_and_groups_without_spread_are_masked_and_counted():
    gains = drawn(6, 2)
    gains[:, 1] = 1.0
    gains[IDS == 1] = 2.0
    found = step_advantages(gains, IDS)
    assert found.masked[IDS == 1].all() and found.masked[:, 1].all() and not found.masked[IDS == 0][:, 0].any()
    assert (found.values[found.masked] == 0).all() and (found.zero_spread_groups, found.groups) == (1, 2)


def test_gains_of_the_noise_free_continuation_are_unbiased_and_vary_half_as_much():
    """A chain x' = x + theta + e of two steps with reward x: the gradient of its mean is 2."""
    start, noise = 2 * drawn(100_000), drawn(100_000, 2, seed=3)
    states = torch.cat([start[:, None], start[:, None] + noise.cumsum(1)], dim=1)  # theta = 0: the value is the state
    by_end = (noise * states[:, -1:]).sum(1)
    by_gain = (noise * step_gains(states)).sum(1)
    for found in (by_end, by_gain):
        assert found.mean() == pytest.approx(2, abs=4 * found.std().item() / 100_000**0.5)
    assert by_gain.std() < 0.55 * by_end.std()


def test_weights_have_mean_1_and_equal_steps_weigh_1():
    assert torch.equal(noise_weights(torch.full((3,), 0.7)), torch.ones(3))
    found = noise_weights(torch.tensor([0.1, 0.3]))
    assert found.mean() == 1 and found[1] / found[0] == pytest.approx(3)


def test_levels_have_their_deviation_and_what_they_foretell():
    final = drawn(1000, seed=4)
    ids = torch.arange(500).repeat_interleave(2)
    scores = torch.stack([3 * final + 1, drawn(1000, seed=5), -final], dim=1)
    found = level_scales(scores, final, ids)
    assert found.deviation[0] == pytest.approx(3 * found.final) and found.slope[0] == pytest.approx(1 / 3)
    assert abs(found.slope[1]) < 0.1 and found.slope[2] == 0
    again = LevelScales.of_plain(found.to_plain())
    assert again == found
    torch.testing.assert_close(again.factors([0], "deviation"), again.factors([0], "slope") / again.final, rtol=1e-6,
                               atol=1e-9)  # fmt: skip


def test_all_candidates_of_a_state_count_by_their_score_and_states_without_a_difference_are_left_out():
    x, scores = torch.zeros(3, 1, 2, 2), torch.tensor([[1.0, 5.0, 0.0], [2.0, 5.0, 4.0]])
    step = GaussianStep(x, torch.ones(1, 1, 1, 1))

    told = Conditioning(prompt_embeds=torch.arange(3.0).reshape(3, 1, 1), pooled_prompt_embeds=torch.zeros(3, 1))
    found = step_groups(x, torch.tensor(0.5), torch.tensor(0.4), step, torch.zeros(2, 3, 1, 2, 2), scores, told)
    assert found.conditioning.prompt_embeds.flatten().tolist() == [0, 2] and len(found.x) == len(found.step.mean) == 2
    torch.testing.assert_close(found.advantages, torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), atol=1e-3, rtol=0)
    assert step_groups(x, *[torch.tensor(0.5)] * 2, step, torch.zeros(2, 3, 1, 2, 2), 0 * scores, told) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: step_gains(drawn(6, 1)), "scores of 1 states; accepted: at least two"),
        (lambda: step_gains(drawn(6, 2), mix=0.5), "no final reward"),
        (lambda: step_gains(drawn(6, 2), drawn(6), 1.5), r"mix is 1.5; accepted: a number in \[0, 1\]"),
        (lambda: step_advantages(drawn(6, 2) * torch.nan, IDS), "not finite"),
        (lambda: step_advantages(drawn(6, 2), torch.arange(6)), "a group of one image"),
        (lambda: noise_weights(torch.tensor([0.1, 0.0])), "finite numbers above 0"),
        (lambda: level_scales(torch.ones(6, 1), drawn(6), IDS), "scores of state 0 are the same"),
        (lambda: level_scales(drawn(6, 1), torch.ones(6), IDS), "tells no base samples of a prompt apart"),
        (lambda: LevelScales({0: 1.0}, {0: 1.0}, 1.0).factors([3], "slope"), "nothing is known of state 3"),
        (lambda: LevelScales.of_plain({"finished": (1.0, 1.0), "level": (1.0, 1.0)}), "'state N'"),
        (lambda: LpoSettings(clip=1.0), "between 0 and 1"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
