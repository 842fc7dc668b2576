"""Laws of the filter of CRAFT and of matching what it keeps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.alignment.algorithms.forward.craft.composite_filter import composite_filter
from dina_lrm.alignment.algorithms.forward.craft.weighted_matching import weighted_matching_loss

NAMES = ("latent", "clip", "sharpness")


@given(seed=st.integers(0, 1000))
def test_kept_sets_shrink_as_more_rewards_have_to_agree(seed):
    values = torch.randn(3, 12, generator=torch.Generator().manual_seed(seed))
    values[:, 0] = 1.0  # one that all rewards like
    rewards, baseline = dict(zip(NAMES, values, strict=True)), dict.fromkeys(NAMES, torch.zeros(12))
    kept = [composite_filter(rewards, baseline, at_least) for at_least in (1, 2, 3)]
    assert bool((kept[1] <= kept[0]).all()) and bool((kept[2] <= kept[1]).all())
    assert torch.equal(kept[2], (values > 0).all(0)) and torch.equal(kept[0], (values > 0).any(0))


def test_a_missing_score_is_above_nothing_and_equal_is_not_better():
    rewards = {"a": torch.tensor([torch.nan, 1.0, 2.0, 2.0])}
    found = composite_filter(rewards, {"a": torch.tensor([0.0, 1.0, torch.nan, 1.0])}, 1)
    assert found.tolist() == [False, False, False, True]


def test_nothing_kept_says_which_reward_rejected_how_many():
    rewards = {"latent:x": torch.tensor([1.0, -1.0, -1.0]), "clip": torch.tensor([-1.0, 1.0, 1.0])}
    with pytest.raises(ValueError, match=r"none of 3 samples .* by 2 of 2 rewards: latent:x rejected 2, clip rejected"):
        composite_filter(rewards, dict.fromkeys(rewards, torch.zeros(3)), 2)


@pytest.mark.parametrize("at_least", [0, 3])
def test_a_number_of_rewards_that_there_is_not_is_refused(at_least):
    rewards = dict.fromkeys(("a", "b"), torch.ones(2))
    with pytest.raises(ValueError, match=f"at_least is {at_least} of 2 rewards; accepted: 1 to 2"):
        composite_filter(rewards, rewards, at_least)
    with pytest.raises(ValueError, match=r"rewards \['a', 'b'\] and baselines \['a'\]"):
        composite_filter(rewards, {"a": torch.ones(2)}, 1)


def test_advantages_of_1_are_flow_matching_and_nothing_repels():
    error = torch.rand(5, dtype=torch.float64).requires_grad_()
    assert torch.equal(weighted_matching_loss(error, torch.ones(5)), error)
    advantage = torch.tensor([2.0, 0.5, 0.0, -1.0, -9.0])
    (gradient,) = torch.autograd.grad(weighted_matching_loss(error, advantage).sum(), error)
    assert gradient.tolist() == [2.0, 0.5, 0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="advantage: 1 of 5 values are not finite, the first at index 2"):
        weighted_matching_loss(error, advantage / torch.tensor([1.0, 1, 0, 1, 1]))
