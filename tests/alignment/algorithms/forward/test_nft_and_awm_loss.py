"""Laws of DiffusionNFT and of advantage-weighted matching, on small tensors in float64."""

import math

import pytest
import torch

from dina_lrm.alignment.algorithms.forward.awm_loss import awm_loss
from dina_lrm.alignment.algorithms.forward.matching import matching_error, per_sample
from dina_lrm.alignment.algorithms.forward.nft_loss import nft_loss
from dina_lrm.alignment.algorithms.forward.optimality import optimality_of

SAMPLES, SHAPE = 4, (2, 3, 3)
DIMENSIONS = math.prod(SHAPE)
BETAS = pytest.mark.parametrize("beta", [0.1, 1.0, 3.0])


def drawn(seed=0):
    """Velocity, old velocity, target, levels and optimality of a few samples."""
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(SAMPLES, *SHAPE, generator=generator, dtype=torch.float64) for _ in range(3)]
    levels, r = torch.rand(2, SAMPLES, generator=generator, dtype=torch.float64)
    return *draw, levels, r


def gradient_at_old(loss_of, old):
    """The gradient of a loss of each sample, where the policy is the old one."""
    velocity = old.clone().requires_grad_()
    return torch.autograd.grad(loss_of(velocity).sum(), velocity)[0]


@BETAS
def test_the_value_is_that_of_the_expanded_square(beta):
    velocity, old, target, levels, r = drawn()
    a, d = old - target, velocity - old
    found = nft_loss(velocity, old, target, levels, r, beta, "uniform")
    expected = per_sample(a.square()) / beta + 2 * (2 * r - 1) * per_sample(a * d) + beta * per_sample(d.square())
    torch.testing.assert_close(found.loss, expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(found.deviation, d.square().mean())


@BETAS
def test_at_the_old_policy_the_value_tells_nothing_of_r_and_the_gradient_all_whatever_beta_is(beta):
    _, old, target, levels, r = drawn()
    value = nft_loss(old, old, target, levels, r, beta, "uniform").loss
    torch.testing.assert_close(value, nft_loss(old, old, target, levels, 1 - r, beta, "uniform").loss)
    found = gradient_at_old(lambda v: nft_loss(v, old, target, levels, r, beta, "uniform").loss, old)
    weight = (2 * r - 1)[:, None, None, None]
    torch.testing.assert_close(found, 2 * weight * (old - target) / DIMENSIONS)
    for weighting in ("uniform", "adaptive"):
        there, back = (
            gradient_at_old(lambda v, o=o, w=weighting: nft_loss(v, old, target, levels, o, beta, w).loss, old)
            for o in (r, 1 - r)
        )
        torch.testing.assert_close(there, -back)


def test_the_best_samples_are_matched_and_those_in_the_middle_only_hold_the_policy():
    velocity, old, target, levels, r = drawn()
    best = nft_loss(velocity, old, target, levels, torch.ones_like(r), 1.0, "uniform").loss
    torch.testing.assert_close(best, per_sample((velocity - target).square()))
    found = velocity.clone().requires_grad_()
    middle = nft_loss(found, old, target, levels, torch.full_like(r, 0.5), 2.0, "uniform").loss
    (gradient,) = torch.autograd.grad(middle.sum(), found)
    torch.testing.assert_close(gradient, 2 * 2.0 * (velocity - old) / DIMENSIONS)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_the_optimum_in_expectation_is_old_and_the_covariance_of_r_with_the_velocity(beta):
    """Three clean points, their exact posterior at one noisy state, and the mean velocity there as the old policy."""
    points, t = torch.tensor([-1.0, 0.4, 1.3], dtype=torch.float64), 0.6
    prior, r = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64), torch.tensor([0.9, 0.1, 0.6], dtype=torch.float64)
    x = torch.tensor(0.2, dtype=torch.float64)
    posterior = torch.softmax(prior.log() - ((x - (1 - t) * points) / t).square() / 2, dim=0)
    targets = (x - points) / t
    old = (posterior * targets).sum()
    covariance = (posterior * r * targets).sum() - (posterior * r).sum() * old
    best = (old + 2 / beta * covariance).requires_grad_()
    spread = [value.reshape(1, 1, 1, 1).expand(3, 1, 1, 1) for value in (best, old)]
    each = nft_loss(*spread, targets[:, None, None, None], torch.full((3,), t).double(), r, beta, "uniform").loss
    assert torch.autograd.grad((posterior * each).sum(), best)[0].abs() < 1e-14


def test_the_adaptive_weight_is_the_level_over_the_mean_absolute_error():
    velocity, old, target, levels, _ = drawn()
    found = nft_loss(velocity, old, target, levels, torch.ones(SAMPLES).double()).loss
    residual = velocity - target
    torch.testing.assert_close(found, levels * per_sample(residual.square()) / per_sample(residual.abs()))


def test_huber_pulls_as_the_adaptive_weight_but_for_a_constant_of_gaussian_errors():
    generator = torch.Generator().manual_seed(1)
    old, target = (torch.randn(64, 4, 16, 16, generator=generator, dtype=torch.float64) for _ in range(2))
    levels = torch.rand(64, generator=generator, dtype=torch.float64)
    ones = torch.ones(64, dtype=torch.float64)
    adaptive = gradient_at_old(lambda v: nft_loss(v, old, target, levels, ones).loss, old)
    huber = gradient_at_old(lambda v: matching_error(v, target, levels, "huber"), old)
    ratio = (adaptive / huber).mean().item()
    assert ratio == pytest.approx(2 * math.sqrt(math.pi / 2), abs=0.03)
    ghuber = gradient_at_old(lambda v: matching_error(v, target, levels, "ghuber", 0.25), old)
    plain = gradient_at_old(lambda v: matching_error(v, target, levels), old)
    error = per_sample((old - target).square())
    torch.testing.assert_close(ghuber, plain * (levels * error ** (0.25 - 1))[:, None, None, None])


def test_awm_at_the_old_policy_is_nft_with_an_advantage():
    _, old, target, levels, r = drawn()
    nft = gradient_at_old(lambda v: nft_loss(v, old, target, levels, r, 1.0, "uniform").loss, old)
    old_error = matching_error(old, target, levels)
    awm = gradient_at_old(lambda v: awm_loss(matching_error(v, target, levels), old_error, 2 * r - 1).loss, old)
    torch.testing.assert_close(awm, nft, rtol=1e-12, atol=1e-15)
    matched = gradient_at_old(
        lambda v: awm_loss(matching_error(v, target, levels), old_error, torch.ones(4).double()).loss, old
    )
    torch.testing.assert_close(matched, gradient_at_old(lambda v: matching_error(v, target, levels), old))


@pytest.mark.parametrize(("offset", "difference"), [(0.3, 0.2), (-0.2, -0.4), (0.0, 0.6)])
def test_a_constant_on_the_errors_of_a_group_changes_nothing_to_first_order(offset, difference):
    advantage = torch.tensor([0.7, -0.4, -0.3], dtype=torch.float64)
    old_error = torch.tensor([1.0, 1.2, 0.8], dtype=torch.float64)
    moved = (old_error + offset).requires_grad_()
    (gradient,) = torch.autograd.grad(awm_loss(moved, old_error + offset, advantage).loss.sum(), moved)
    torch.testing.assert_close(gradient, advantage)
    error = old_error + difference
    # rho is between 0 and 2 here: a clip of 1 cuts nothing
    unclipped, clipped = (awm_loss(error, old_error, advantage, clip) for clip in (None, 1.0))
    assert torch.equal(unclipped.loss, clipped.loss) and clipped.clipped == 0 == unclipped.clipped


def test_the_curvature_of_the_matching_error_held_to_old_is_the_advantage_and_the_hold():
    generator = torch.Generator().manual_seed(2)
    old, target, along = (torch.randn(1, *SHAPE, generator=generator, dtype=torch.float64) for _ in range(3))
    for advantage, hold in ((-1.0, 1.0), (0.5, 1.0), (-1.0, 0.3)):
        loss = [
            advantage * matching_error(old + s * along, target, torch.ones(1)) + hold * per_sample((s * along).square())
            for s in (-1.0, 0.0, 1.0)
        ]
        curvature = (loss[0] - 2 * loss[1] + loss[2]) / per_sample(along.square())
        torch.testing.assert_close(
            curvature, torch.full((1,), 2 * (advantage + hold), dtype=torch.float64), atol=1e-12, rtol=0
        )


def test_optimality_is_half_in_the_middle_bounded_and_blind_to_what_a_prompt_adds():
    rewards, ids = torch.tensor([0.0, 1.0, 2.0, 5.0, 5.0, 8.0]).double(), torch.tensor([0, 0, 0, 1, 1, 1])
    for scale in ("group", "batch"):
        found = optimality_of(rewards, ids, scale)
        assert found[1] == 0.5 and found.min() >= 0 and found.max() <= 1
        torch.testing.assert_close(found.reshape(2, 3).mean(1), torch.full((2,), 0.5))
    group = optimality_of(rewards + torch.tensor([7.0, -3.0]).repeat_interleave(3), ids, "group")
    torch.testing.assert_close(group, optimality_of(rewards, ids, "group"))
    far = optimality_of(torch.tensor([*[0.0] * 99, 1e6]), torch.zeros(100, dtype=torch.int64))
    assert far[-1] == 1.0


def test_what_is_no_optimality_no_clip_and_no_weighting_is_refused():
    velocity, old, target, levels, r = drawn()
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=rf"optimality {wrong}; accepted: numbers in \[0, 1\]"):
            nft_loss(velocity, old, target, levels, torch.full_like(r, wrong))
    with pytest.raises(ValueError, match=r"beta 0.0; accepted: a finite number above 0"):
        nft_loss(velocity, old, target, levels, r, 0.0)
    with pytest.raises(ValueError, match=r"clip 0.0; accepted: a finite number above 0, or None"):
        awm_loss(r, r, r, clip=0.0)
    with pytest.raises(ValueError, match="advantage nan; accepted: finite numbers"):
        awm_loss(r, r, torch.full_like(r, math.nan))
    with pytest.raises(ValueError, match=r"power 0.0; accepted: a number in \(0, 1\]"):
        matching_error(velocity, target, levels, "ghuber", 0.0)
    with pytest.raises(ValueError, match="group of one image"):
        optimality_of(r, torch.tensor([0, 0, 0, 1]))
