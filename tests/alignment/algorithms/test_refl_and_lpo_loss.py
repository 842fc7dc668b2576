import math

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.alignment.algorithms.lpo_loss import best_and_worst, lpo_loss, pair_threshold
from dina_lrm.alignment.algorithms.refl_loss import refl_loss, with_pretraining
from dina_lrm.diffusion import process_from_scheduler
from dina_lrm.generators.kernels import Ddim

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # numpy 2 in diffusers


def test_shapings_by_hand():
    rewards = torch.tensor([-1.0, 0.0, 3.0])
    assert refl_loss(rewards).item() == pytest.approx(-2 / 3)
    assert refl_loss(rewards, "relu").item() == pytest.approx((3 + 2 + 0) / 3)
    assert refl_loss(rewards, "relu", margin=0.5, scale=1e-3).item() == pytest.approx(1e-3 * (1.5 + 0.5) / 3)
    expected = sum(math.log(1 + math.exp(-r)) for r in rewards.tolist()) / 3
    assert refl_loss(rewards, "log-sigmoid").item() == pytest.approx(expected, abs=1e-6)


@given(values=st.lists(st.floats(-20, 20), min_size=1, max_size=5), shaping=st.sampled_from(["linear", "log-sigmoid"]))
def test_a_higher_reward_is_a_lower_loss(values, shaping):
    rewards = torch.tensor(values, requires_grad=True)
    refl_loss(rewards, shaping).backward()
    assert (rewards.grad < 0).all()


def test_bad_rewards_are_refused():
    with pytest.raises(ValueError, match="reward at index 1 is nan"):
        refl_loss(torch.tensor([1.0, math.nan]))


def test_pretraining_is_mixed_in_by_its_weight():
    velocity, target, refl = torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 3, 3), torch.tensor(-2.0)
    assert with_pretraining(refl, velocity, target, 0.0) is refl
    assert with_pretraining(refl, velocity, target, 3.0).item() == pytest.approx((-2 + 3 * 1) / 4)
    with pytest.raises(ValueError, match="weight is -1"):
        with_pretraining(refl, velocity, target, -1.0)


def test_equal_steps_cost_ln_2():
    log_probs = torch.tensor([-1.0, -2.0])
    loss = lpo_loss(log_probs - log_probs, torch.zeros_like(log_probs))
    torch.testing.assert_close(loss, torch.full((2,), math.log(2)))


def test_the_loss_falls_with_the_winner_and_stops_at_the_clip():
    winner, loser = torch.tensor([0.01, 0.5], requires_grad=True), torch.tensor([-0.01, 0.0], requires_grad=True)
    lpo_loss(winner, loser, beta=10.0).sum().backward()
    assert winner.grad[0] < 0 < loser.grad[0]
    assert winner.grad[1] == 0  # a ratio of exp(0.5) is beyond 1.1
    by_hand = math.log(1 + math.exp(-10 * 0.02))
    found = lpo_loss(torch.tensor([0.01]), torch.tensor([-0.01]), beta=10.0)
    assert found.item() == pytest.approx(by_hand, abs=1e-6)


def test_thresholds_meet_both_ends_and_lie_between():
    sigma = torch.linspace(0.1, 0.9, 9)
    found = pair_threshold(sigma, 0.1, 0.9)
    assert found[0].item() == pytest.approx(0.35) and found[-1].item() == pytest.approx(0.5)
    assert (found.diff() > 0).all()
    assert (pair_threshold(sigma, 0.1, 0.9, 0.3, 0.3) == 0.3).all()
    for bad in ((0.5, 0.5, 0.3, 0.4), (0.0, 1.0, 0.5, 0.4)):
        with pytest.raises(ValueError, match="accepted"):
            pair_threshold(sigma, *bad)


def test_thresholds_of_a_schedule_follow_the_std_of_its_steps():
    """SD1.5 with 20 steps of 50 timesteps: the published std at timesteps 1, 501 and 951 gives the published ends."""
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    process = process_from_scheduler(scheduler)
    timesteps = torch.arange(1, 1000, 50)
    levels = process.noise_level_from_timestep(timesteps)
    following = process.noise_level_from_timestep((timesteps - 50).clamp(min=0))
    x = torch.zeros(20, 1, 1, 1)
    std = Ddim(1.0).step(process, x, x, levels, following).std.flatten()
    found = pair_threshold(std, std.min().item(), std.max().item())
    at_501 = 0.35 + (0.4293 - 0.0206) / (0.6444 - 0.0206) * 0.15
    assert found[[0, 10, 19]].tolist() == pytest.approx([0.35, at_501, 0.5], abs=1e-4)
    assert (found.diff() > 0).all()


def test_best_and_worst_and_what_is_kept():
    scores = torch.tensor([[0.0, 2.0, 1.0], [1.0, 1.0, 1.1]])
    pairs = best_and_worst(scores, 0.4)
    assert pairs.best.tolist() == [1, 2] and pairs.worst.tolist()[0] == 0
    soft = torch.softmax(torch.tensor([2.0, 0.0]), dim=0)
    assert pairs.gap[0].item() == pytest.approx((soft[0] - soft[1]).item(), abs=1e-6)
    assert pairs.kept.tolist() == [True, False]
    with pytest.raises(ValueError, match="1 candidate a state"):
        best_and_worst(scores[:, :1], 0.4)
    with pytest.raises(ValueError, match="1 scores are not finite, the first of candidate 0 of state 0"):
        best_and_worst(scores.log(), 0.4)
