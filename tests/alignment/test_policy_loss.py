import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.alignment.policy_loss import check_first_update, clipped_policy_loss, gaussian_kl, guarded_log_ratio
from dina_lrm.alignment.steps import Cps, FlowSde, GaussianStep
from dina_lrm.diffusion import RectifiedFlow


def steps(std=0.3, distance=0.2, batch=4, size=3):
    generator = torch.Generator().manual_seed(0)
    mean, other = torch.randn(2, batch, 2, size, size, generator=generator)
    scale = torch.full((batch, 1, 1, 1), std)
    return GaussianStep(mean, scale), GaussianStep(mean + distance * other, scale)


def test_at_ratio_one_the_gradient_is_that_of_the_policy_gradient():
    log_ratio = torch.zeros(3, requires_grad=True)
    advantage = torch.tensor([2.0, -1.0, 0.5])
    found = clipped_policy_loss(log_ratio, advantage, 1e-4)
    found.loss.sum().backward()
    torch.testing.assert_close(log_ratio.grad, -advantage)
    torch.testing.assert_close(found.loss.detach(), -advantage)
    assert found.clipped == 0 and found.divergence == 0


@pytest.mark.parametrize(("log_ratio", "advantage", "flows"), [
    (0.3, 1.0, False), (-0.3, 1.0, True), (0.3, -1.0, True), (-0.3, -1.0, False),
])  # fmt: skip
def test_the_clip_stops_gradients_on_the_side_that_has_gone_far_enough(log_ratio, advantage, flows):
    given_ratio = torch.tensor([log_ratio], requires_grad=True)
    found = clipped_policy_loss(given_ratio, torch.tensor([advantage]), 0.1)
    found.loss.sum().backward()
    assert bool(given_ratio.grad != 0) == flows and float(found.clipped) == (not flows)


def test_the_divergence_is_that_of_two_normals():
    step, reference = steps()
    normal, other = (torch.distributions.Normal(s.mean, s.std) for s in (step, reference))
    expected = torch.distributions.kl_divergence(normal, other).mean((1, 2, 3))
    torch.testing.assert_close(gaussian_kl(step, reference), expected)
    assert gaussian_kl(step, step).abs().max() == 0


def test_flow_grpos_divergence_leaves_the_step_size_out():
    x, v, w = torch.randn(3, 2, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    one, two = (FlowSde(0.7).step(RectifiedFlow(), x, velocity, 0.5, 0.4) for velocity in (v, w))
    squared = (one.mean - two.mean).square().mean((1, 2, 3))
    torch.testing.assert_close(gaussian_kl(one, two, "flow-grpo", dt=-0.1), squared / (2 * 0.7**2 * 0.5 / 0.5))
    torch.testing.assert_close(gaussian_kl(one, two), squared / (2 * 0.7**2 * 0.1))
    with pytest.raises(ValueError, match="needs dt below 0"):
        gaussian_kl(one, two, "flow-grpo")
    with pytest.raises(ValueError, match="different std"):
        gaussian_kl(one, GaussianStep(one.mean, 2 * one.std))


@given(std=st.floats(0.05, 2), distance=st.floats(0, 0.5))
def test_guard_centres_the_log_ratio(std, distance):
    """Under the old policy x' = m_old + s z, and z and -z have the same chance: their mean is the expectation."""
    old, new = steps(std, distance)
    z = torch.randn(old.mean.shape, generator=torch.Generator().manual_seed(1))
    guarded, plain = [], []
    for sign in (1, -1):
        x = old.sample(sign * z)
        plain.append(new.log_prob(x) - old.log_prob(x))
        guarded.append(guarded_log_ratio(new.log_prob(x), old.log_prob(x), new, old))
    torch.testing.assert_close(guarded[0] + guarded[1], torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close((plain[0] + plain[1]) / 2, -gaussian_kl(new, old), atol=1e-4, rtol=1e-3)


def test_guard_refuses_what_it_does_not_hold_for():
    x, v = torch.randn(2, 2, 2, 3, 3)
    step = Cps(0.7).step(RectifiedFlow(), x, v, 0.5, 0.4)
    with pytest.raises(ValueError, match="got a CpsStep"):
        guarded_log_ratio(torch.zeros(2), torch.zeros(2), step, step)


def test_the_first_update_has_ratio_one():
    check_first_update(torch.ones(3))
    for ratio in (1 + 1e-4, math.nan):
        with pytest.raises(ValueError, match="Likely causes: dropout"):
            check_first_update(torch.tensor([1.0, ratio]))
    with pytest.raises(ValueError, match="clip is 2"):
        clipped_policy_loss(torch.zeros(1), torch.zeros(1), 2.0)
