import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dina_lrm.alignment.algorithms.policy_loss import (
    check_first_update,
    clipped_policy_loss,
    gaussian_kl,
    guarded_log_ratio,
)
from dina_lrm.diffusion import RectifiedFlow
from dina_lrm.generators.kernels import Cps, Ddim, FlowSde, GaussianStep, Ode


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


@pytest.mark.parametrize("kernel", [FlowSde(), Cps(), Ddim()], ids=repr)
def test_at_the_first_update_a_kernel_gives_the_policy_gradient(kernel):
    """Ratio 1 to the bit, and d loss = -A d log p."""
    x, velocity, noise = torch.randn(3, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    advantage = torch.tensor([1.5, -2.0, 0.1])
    old = kernel.step(RectifiedFlow(), x, velocity, 0.8, 0.6)
    x_next = old.sample(noise)
    velocity.requires_grad_()
    step = kernel.step(RectifiedFlow(), x, velocity, 0.8, 0.6)
    found = clipped_policy_loss(step.log_ratio(old, x_next), advantage, 3e-6)
    assert found.ratio.tolist() == [1, 1, 1]
    gradient = torch.autograd.grad(found.loss.sum(), velocity, retain_graph=True)[0]
    expected = torch.autograd.grad((-advantage * step.log_prob(x_next)).sum(), velocity)[0]
    torch.testing.assert_close(gradient, expected)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("clip", [3e-6, 1e-4, 0.2])
def test_clips_of_the_size_of_rounding_are_exact(clip):
    """A ratio of 1.002 clips is clipped and one of 0.998 is not, at 25 units in the last place of 1 too."""
    log_ratio = math.log1p(clip) * torch.tensor([1.002, 0.998, -0.998])
    log_ratio.requires_grad_()
    found = clipped_policy_loss(log_ratio, torch.tensor([1.0, 1.0, 1.0]), clip)
    found.loss.sum().backward()
    torch.testing.assert_close(log_ratio.grad, -log_ratio.detach().exp() * torch.tensor([0.0, 1.0, 1.0]))
    assert found.clipped.item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("size", [1e-7, 1e-4, 1e-3, 0.1])
def test_the_logged_divergence_survives_rounding(size):
    log_ratio = size * torch.randn(1000, generator=torch.Generator().manual_seed(0))
    exact = (log_ratio.double().expm1() - log_ratio.double()).mean().item()
    found = clipped_policy_loss(log_ratio, torch.ones(1000), 0.5)
    assert found.divergence.item() == pytest.approx(exact, rel=1e-3)


@settings(max_examples=30)
@given(log_ratio=st.floats(-1, 1), advantage=st.floats(-5, 5), clip=st.sampled_from([1e-4, 0.01, 0.5]))
def test_it_is_the_textbook_form(log_ratio, advantage, clip):
    ratio = math.exp(log_ratio)
    expected = max(-advantage * ratio, -advantage * min(max(ratio, 1 - clip), 1 + clip))
    found = clipped_policy_loss(torch.tensor([log_ratio]), torch.tensor([advantage]), clip)
    assert found.loss.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


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
        guarded.append(guarded_log_ratio(new, old, x))
    torch.testing.assert_close(guarded[0] + guarded[1], torch.zeros(4), atol=1e-6, rtol=0)
    bias = (new.mean - old.mean).square().mean((1, 2, 3)) / (2 * std**2)
    torch.testing.assert_close(guarded[1], (plain[1] + bias) * std, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close((plain[0] + plain[1]) / 2, -gaussian_kl(new, old), atol=1e-4, rtol=1e-3)


def test_guard_refuses_what_it_does_not_hold_for():
    x, v = torch.randn(2, 2, 2, 3, 3)
    step = Cps(0.7).step(RectifiedFlow(), x, v, 0.5, 0.4)
    with pytest.raises(ValueError, match="got a CpsStep"):
        guarded_log_ratio(step, step, x)
    still = Ode().step(RectifiedFlow(), x, v, 0.5, 0.4)
    with pytest.raises(ValueError, match="between the same levels, with noise"):
        guarded_log_ratio(still, still, x)


def test_the_first_update_has_ratio_one():
    check_first_update(torch.ones(3))
    for ratio in (1 + 1e-4, math.nan):
        with pytest.raises(ValueError, match="Likely causes: dropout"):
            check_first_update(torch.tensor([1.0, ratio]))
    with pytest.raises(ValueError, match="clip is 2"):
        clipped_policy_loss(torch.zeros(1), torch.zeros(1), 2.0)
