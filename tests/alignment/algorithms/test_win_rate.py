"""Laws of the win rate in a group."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.alignment.algorithms.advantages import grpo_advantages
from dina_lrm.alignment.algorithms.win_rate import combined_win_rates, group_win_rate
from dina_lrm.preference.likelihood import BradleyTerry, Thurstone

IDS = torch.tensor([4, 1, 4, 1, 1, 4, 4])


def drawn(seed):
    return torch.randn(len(IDS), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def thurstone(variance, sigma=0.3):
    model = Thurstone(variance_floor=variance)
    return lambda margin: model.probability(margin, sigma)


@given(seed=st.integers(0, 1000), shift=st.floats(-50, 50))
def test_rates_average_to_a_half_keep_the_order_and_see_no_shift(seed, shift):
    scores, preferred = drawn(seed), thurstone(0.05)
    rate = group_win_rate(scores, IDS, preferred)
    for prompt in (1, 4):
        mine = IDS == prompt
        torch.testing.assert_close(rate[mine].mean(), torch.tensor(0.5))
        assert torch.equal(rate[mine].argsort(), scores[mine].argsort())
    moved = group_win_rate(torch.where(IDS == 1, scores + shift, scores), IDS, preferred)
    torch.testing.assert_close(moved, rate)
    order = torch.randperm(len(IDS), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(group_win_rate(scores[order], IDS[order], preferred), rate[order])


def test_it_is_the_rank_of_a_sure_reward_and_affine_for_one_that_is_not():
    scores = drawn(0)
    rank = torch.tensor([[(scores[j] < scores[i]) & (IDS[i] == IDS[j]) for j in range(7)] for i in range(7)]).sum(1)
    others = torch.tensor([int((IDS == prompt).sum()) - 1 for prompt in IDS.tolist()])
    torch.testing.assert_close(group_win_rate(scores, IDS, thurstone(1e-9, 0.0)), rank / others)
    # Advantages divide by the deviation, beside which the 1e-4 added to it is large when rates hardly differ
    rate = group_win_rate(scores, IDS, lambda margin: thurstone(1e8, 0.0)(margin)).double() - 0.5
    expected = grpo_advantages(scores, IDS).values
    torch.testing.assert_close(grpo_advantages(1e5 * rate, IDS).values, expected, atol=5e-2, rtol=5e-2)


def test_two_images_have_the_probability_of_their_margin():
    scores, ids = torch.tensor([0.3, -0.4]), torch.tensor([2, 2])
    won = BradleyTerry().probability(torch.tensor(0.7), 1.0)
    rate = group_win_rate(scores, ids, lambda margin: BradleyTerry().probability(margin, 1.0))
    torch.testing.assert_close(rate, torch.stack([won, 1 - won]))


def test_of_several_rewards_it_is_the_mean_of_rates_and_not_the_rate_of_the_sum():
    one, other, likelihood = drawn(1), 30 * drawn(2), thurstone(0.5)
    both, weights = {"one": one, "other": other}, {"one": 1.0, "other": -3.0}
    found = combined_win_rates(both, weights, IDS, dict.fromkeys(both, likelihood))
    each = [group_win_rate(scores, IDS, likelihood) for scores in (one, other)]
    torch.testing.assert_close(found, 0.25 * each[0] + 0.75 * (1 - each[1]))
    assert found.min() > 0 and found.max() < 1
    assert not torch.allclose(found, group_win_rate(one - 3 * other, IDS, likelihood), atol=0.01)


def test_what_has_no_rate_is_refused():
    likelihood = thurstone(0.1)
    with pytest.raises(ValueError, match="scores: 1 of 2 values are not finite, the first at index 1"):
        group_win_rate(torch.tensor([1.0, float("nan")]), torch.tensor([1, 1]), likelihood)
    with pytest.raises(ValueError, match="prompt 2 has a group of one image"):
        group_win_rate(torch.zeros(3), torch.tensor([1, 1, 2]), likelihood)
    with pytest.raises(ValueError, match=r"all weights of .* are 0"):
        combined_win_rates({"a": drawn(0)}, {"a": 0.0}, IDS, {"a": likelihood})
