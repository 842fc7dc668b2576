import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.alignment.algorithms.advantages import combined_rewards, grpo_advantages

REWARDS = torch.tensor([1.0, 3.0, 5.0, 2.0, 2.0, 4.0])
IDS = torch.tensor([7, 7, 3, 3, 9, 9])


def test_by_hand():
    found = grpo_advantages(REWARDS, IDS)
    expected = torch.tensor([-1 / 1.0001, 1 / 1.0001, 1.5 / 1.5001, -1.5 / 1.5001, -1 / 1.0001, 1 / 1.0001])
    torch.testing.assert_close(found.values, expected)
    assert (found.groups, found.zero_spread_groups) == (3, 0) and not found.masked.any()
    whole = grpo_advantages(REWARDS, IDS, scope="batch")
    centred = torch.tensor([-1.0, 1.0, 1.5, -1.5, -1.0, 1.0])
    torch.testing.assert_close(whole.values, centred / (REWARDS.std(correction=0) + 1e-4))


@given(seed=st.integers(0, 1000), shift=st.floats(-100, 100), factor=st.floats(0.1, 50))
def test_neither_order_nor_a_shift_of_a_prompt_matters(seed, shift, factor):
    generator = torch.Generator().manual_seed(seed)
    rewards, ids = torch.randn(12, generator=generator), torch.arange(12) // 4
    order = torch.randperm(12, generator=generator)
    plain = grpo_advantages(rewards, ids).values
    torch.testing.assert_close(grpo_advantages(rewards[order], ids[order]).values, plain[order])
    shifted = torch.where(ids == 1, rewards + shift, rewards)
    torch.testing.assert_close(grpo_advantages(shifted, ids).values, plain, atol=1e-3, rtol=1e-3)
    # 1e-4 is added to the deviation, which weighs more in smaller rewards
    deviation = rewards.view(3, 4).std(1, correction=0)[ids]
    smaller = plain * (deviation + 1e-4) / (deviation + 1e-4 / factor)
    torch.testing.assert_close(grpo_advantages(factor * rewards, ids).values, smaller, atol=1e-3, rtol=1e-3)
    groups = plain.view(3, 4)
    torch.testing.assert_close(groups.mean(1), torch.zeros(3), atol=1e-5, rtol=0)


def test_groups_without_spread_are_masked_and_counted():
    found = grpo_advantages(torch.tensor([2.0, 2.0, 0.0, 1.0]), torch.tensor([0, 0, 1, 1]))
    assert found.masked.tolist() == [True, True, False, False]
    assert found.zero_spread_groups == 1 and found.values[:2].tolist() == [0, 0]


def test_large_advantages_are_clipped():
    rewards = torch.zeros(100)
    rewards[0] = 1.0
    assert grpo_advantages(rewards, torch.zeros(100, dtype=torch.int64)).values.max() == 5
    assert grpo_advantages(rewards, torch.zeros(100, dtype=torch.int64), clip=2.0).values.max() == 2
    with pytest.raises(ValueError, match=r"clip is -1\.0; accepted: a number above 0"):
        grpo_advantages(rewards, torch.zeros(100, dtype=torch.int64), clip=-1.0)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="prompt 4 has a group of one image"):
        grpo_advantages(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1, 1, 4]))
    with pytest.raises(ValueError, match="not finite, the first at index 1"):
        grpo_advantages(torch.tensor([1.0, float("nan")]), torch.tensor([1, 1]))


def test_several_rewards():
    rewards = {"ours": REWARDS, "clip": 100 * REWARDS.flip(0)}
    weights = {"ours": 1.0, "clip": 0.5}
    torch.testing.assert_close(combined_rewards(rewards, weights, IDS), REWARDS + 50 * REWARDS.flip(0))
    normalised = combined_rewards(rewards, weights, IDS, how="normalised")
    parts = [grpo_advantages(values, IDS).values for values in rewards.values()]
    torch.testing.assert_close(normalised, parts[0] + 0.5 * parts[1])
    with pytest.raises(ValueError, match="accepted: the same names"):
        combined_rewards(rewards, {"ours": 1.0}, IDS)
    with pytest.raises(ValueError, match="clip: 1 of 6 values are not finite"):
        combined_rewards({"clip": torch.tensor([1, 2, 3, 4, float("inf"), 6])}, {"clip": 1.0}, IDS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scope", ["group", "batch"])
def test_rewards_far_from_zero_keep_their_digits(dtype, scope):
    """A million and some quarters, which float32 holds exactly; its squares, and a mean of them, it does not."""
    steps = np.array([0.0, 0.25, 0.5, 1.0, 0.0, 0.25, 0.25, 0.25])
    ids = torch.tensor([0] * 4 + [1] * 4)
    found = grpo_advantages(torch.tensor(1e6 + steps, dtype=dtype), ids, scope=scope)
    groups = steps.reshape(2, 4)
    centred = groups - groups.mean(axis=1, keepdims=True)
    spread = groups.std(axis=1, keepdims=True) if scope == "group" else steps.std()
    torch.testing.assert_close(found.values, torch.tensor((centred / (spread + 1e-4)).ravel()).float())
    assert not found.masked.any()


def test_a_group_is_flat_by_its_own_size():
    """Neither another group's large rewards hide a spread, nor is the last digit of large ones a spread."""
    rewards = torch.tensor([1e6, 2e6, 1e-3, 2e-3, 1e6, 1e6 + 0.0625])
    found = grpo_advantages(rewards, torch.tensor([0, 0, 1, 1, 2, 2]))
    assert found.masked.tolist() == [False] * 4 + [True] * 2
    assert grpo_advantages(rewards.double(), torch.tensor([0, 0, 1, 1, 2, 2])).zero_spread_groups == 0


def test_sums_of_rewards_keep_the_digits_of_the_widest():
    large = torch.tensor([1e8, 1e8, 2e8, 2e8], dtype=torch.float64)
    small = torch.tensor([0.0, 1.0, 0.0, 1.0])
    ids, weights = torch.tensor([0, 0, 1, 1]), {"large": 1.0, "small": 1.0}
    total = combined_rewards({"large": large, "small": small}, weights, ids)
    assert total.dtype == torch.float64 and torch.equal(total, large + small.double())
    found = grpo_advantages(total, ids)
    torch.testing.assert_close(found.values, torch.tensor([-1.0, 1.0, -1.0, 1.0]) * 0.5 / 0.5001)
