"""Laws of the losses on given pairs, in float64."""

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from dina_lrm.alignment.algorithms.dpo_loss import dpo_loss
from dina_lrm.alignment.pairs.losses import implicit_margin, kto_loss, level_weight, preference_loss
from dina_lrm.diffusion.process import RectifiedFlow, VariancePreserving

ERRORS = torch.rand(4, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
NOISING = VariancePreserving(torch.linspace(0.999, 0.01, 1000, dtype=torch.float64))
SOFT = torch.linspace(0, 1, 64, dtype=torch.float64)


def test_one_sure_pair_is_the_plain_loss():
    errors = ERRORS.float()
    assert torch.equal(preference_loss(*errors, beta=3.0), dpo_loss(*errors, beta=3.0))


def test_it_begins_at_ln_2_with_a_gradient_of_a_quarter_of_beta():
    same = torch.stack([ERRORS[0], ERRORS[1]] * 2)
    assert torch.allclose(preference_loss(*same, beta=40.0), torch.full((64,), math.log(2), dtype=torch.float64))
    slopes = [
        jacobian(lambda *errors: preference_loss(*errors, beta=40.0).sum(), tuple(same))[side].unique().tolist()
        for side in (0, 1)
    ]
    assert slopes == [[pytest.approx(10.0)], [pytest.approx(-10.0)]]


@pytest.mark.parametrize("kind", ["dpo", "ipo"])
def test_swapping_the_pictures_and_the_label_is_the_identity(kind):
    there = preference_loss(*ERRORS, SOFT, 5.0, kind)
    back = preference_loss(*ERRORS[[1, 0, 3, 2]], 1 - SOFT, 5.0, kind)
    torch.testing.assert_close(there, back, rtol=1e-14, atol=1e-15)
    linear = SOFT * preference_loss(*ERRORS, 1.0, 5.0, kind) + (1 - SOFT) * preference_loss(*ERRORS, 0.0, 5.0, kind)
    torch.testing.assert_close(there, linear)


@pytest.mark.parametrize("kind", ["dpo", "ipo"])
def test_a_tie_is_least_where_nothing_is_preferred(kind):
    """Of a soft label the minimum is its log-odds, of IPO at its margin."""
    steps = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    nothing = torch.zeros_like(steps)
    found = {p: steps[preference_loss(-2 * steps, nothing, nothing, nothing, p, 2.0, kind).argmin()].item()
             for p in (0.5, 0.8, 1.0)}  # fmt: skip
    assert found[0.5] == pytest.approx(0, abs=1e-3)
    expected = {"dpo": math.log(4) / 2, "ipo": 0.6 / 4}[kind]
    assert found[0.8] == pytest.approx(expected, abs=1e-3)
    if kind == "ipo":
        assert found[1.0] == pytest.approx(1 / 4, abs=1e-3)


def test_the_margin_is_half_of_what_the_winner_gained_beyond_the_loser():
    winner, loser, before, other = ERRORS
    torch.testing.assert_close(implicit_margin(*ERRORS), ((before - winner) - (other - loser)) / 2)


def test_kto_is_finite_at_any_gain_and_pulls_both_ways():
    liked = torch.arange(64) % 2 == 0
    for scale in (1.0, 1e6):
        error = (scale * ERRORS[0]).requires_grad_()
        loss = kto_loss(error, scale * ERRORS[1], liked, beta=2000.0)
        assert loss.isfinite().all() and 0 <= loss.min() and loss.max() <= 1
        loss.sum().backward()
        assert error.grad.isfinite().all()
    near = ERRORS[0].clone().requires_grad_()
    kto_loss(near, ERRORS[0], liked, beta=2.0, disliked_weight=3.0).sum().backward()
    torch.testing.assert_close(near.grad, torch.where(liked, 0.5, -1.5).double())


def test_the_baseline_of_kto_is_that_of_the_whole_batch_and_never_below_0():
    error, reference, liked = ERRORS[0], ERRORS[1] + 0.3, ERRORS[2] > 0.5
    whole = kto_loss(error, reference, liked, 4.0)
    z = (reference - error).mean().item()
    parts = [kto_loss(error[rows], reference[rows], liked[rows], 4.0, baseline=z) for rows in (slice(9), slice(9, 64))]
    torch.testing.assert_close(torch.cat(parts), whole)
    torch.testing.assert_close(
        kto_loss(reference, error, liked, 4.0), kto_loss(reference, error, liked, 4.0, baseline=0.0)
    )


def test_weights_are_the_ratios_of_errors_between_spaces():
    level = torch.tensor([0.02, 0.3, 0.9], dtype=torch.float64)
    clean, noise, found = (torch.randn(3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
                           for n in range(3))  # fmt: skip
    for process in (RectifiedFlow(), NOISING):
        x = process.add_noise(clean, noise, level)
        off = (process.velocity(clean, noise, level) - found).square().mean(1)
        noises = (process.noise_from_velocity(x, found, level) - noise).square().mean(1)
        torch.testing.assert_close(level_weight(level, "noise", process) * off, noises)
    assert level_weight(level, "velocity").tolist() == [1, 1, 1]
    torch.testing.assert_close(level_weight(level, "elbo"), (1 - level) / level)


def test_what_cannot_be_is_refused():
    nothing = torch.zeros(1)
    with pytest.raises(ValueError, match=r"preference_loss: beta 0"):
        preference_loss(nothing, nothing, nothing, nothing, beta=0.0)
    with pytest.raises(ValueError, match=r"preference 1.5; accepted: P\(winner preferred\)"):
        preference_loss(nothing, nothing, nothing, nothing, 1.5)
    with pytest.raises(ValueError, match=r"preference nan"):
        preference_loss(nothing, nothing, nothing, nothing, math.nan)
    with pytest.raises(ValueError, match=r"kto_loss: beta nan"):
        kto_loss(nothing, nothing, nothing > 0, math.nan)
    with pytest.raises(ValueError, match=r"elbo at level 0.01; accepted"):
        level_weight(torch.tensor([0.01]), "elbo")
    with pytest.raises(ValueError, match=r"elbo for a VariancePreserving; accepted: velocity, noise"):
        level_weight(torch.tensor([0.5]), "elbo", NOISING)
