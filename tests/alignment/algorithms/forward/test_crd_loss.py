"""Laws of centred reward distillation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.alignment.algorithms.forward.grouped.crd_loss import crd_loss

IDS = torch.tensor([5, 5, 5, 2, 2, 2])


def drawn(seed, count=6):
    return torch.randn(2, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", ["mse", "bce"])
@pytest.mark.parametrize("temperature", [None, 0.5])
@given(seed=st.integers(0, 1000), shift=st.floats(-20, 20))
def test_what_all_images_of_a_prompt_share_changes_nothing(kind, temperature, seed, shift):
    ratio, wanted = drawn(seed)
    plain = crd_loss(ratio, wanted, IDS, 2.0, kind, temperature)
    moved = torch.where(IDS == 5, shift, -shift).double()
    torch.testing.assert_close(crd_loss(ratio + moved, wanted, IDS, 2.0, kind, temperature), plain)
    torch.testing.assert_close(crd_loss(ratio, wanted - moved, IDS, 2.0, kind, temperature), plain)


def test_of_two_images_it_is_ipo_with_the_gap_as_margin_over_4():
    ratio, wanted = drawn(3, 2)
    found = crd_loss(ratio, wanted, torch.tensor([1, 1]), beta=3.0)
    margin = 3.0 * (ratio[0] - ratio[1]) - (wanted[0] - wanted[1])
    torch.testing.assert_close(found, (margin**2 / 4).expand(2))


@pytest.mark.parametrize("temperature", [None, 0.3])
def test_it_stops_where_the_gaps_are_those_that_are_asked_for(temperature):
    _, wanted = drawn(4)
    offset = torch.where(IDS == 5, 7.0, -2.0).double()
    ratio = ((wanted + offset) / 4.0).requires_grad_()
    loss = crd_loss(ratio, wanted, IDS, 4.0, temperature=temperature)
    (gradient,) = torch.autograd.grad(loss.sum(), ratio)
    torch.testing.assert_close(loss, torch.zeros_like(loss))
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))
    # The cross-entropy has its minimum there too
    (gradient,) = torch.autograd.grad(crd_loss(ratio, wanted, IDS, 4.0, "bce").sum(), ratio)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))


def test_at_the_old_policy_it_is_matching_weighted_by_the_centred_optimality():
    """The gradient in the errors is 2 beta (r - mean r), whether means pass one on or not."""
    _, wanted = drawn(5)
    error = torch.rand(6, dtype=torch.float64).requires_grad_()
    centred = wanted - torch.where(IDS == 5, wanted[:3].mean(), wanted[3:].mean())
    (gradient,) = torch.autograd.grad(crd_loss(error.detach() - error, wanted, IDS, 1.5).sum(), error)
    torch.testing.assert_close(gradient, 2 * 1.5 * centred)
    ratio = drawn(6)[0].requires_grad_()
    means = torch.stack([ratio[:3].mean(), ratio[3:].mean()]).repeat_interleave(3)
    (through,) = torch.autograd.grad((1.5 * (ratio - means) - centred).square().sum(), ratio)
    (found,) = torch.autograd.grad(crd_loss(ratio, wanted, IDS, 1.5).sum(), ratio)
    torch.testing.assert_close(found, through)


def test_a_hot_temperature_is_none():
    ratio, wanted = drawn(7)
    torch.testing.assert_close(crd_loss(ratio, wanted, IDS, temperature=1e9), crd_loss(ratio, wanted, IDS))


def test_what_it_cannot_do_is_refused():
    ratio, wanted = drawn(0)
    for changes, said in (
        ({"beta": 0.0}, "beta 0.0; accepted: a finite number above 0"),
        ({"kind": "l1"}, "kind is 'l1'; accepted: 'mse' and 'bce'"),
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"prompt_ids": torch.arange(6)}, "a group of one image"),
        ({"optimality": torch.full((6,), torch.nan)}, "optimality: 6 of 6 values are not finite"),
    ):
        with pytest.raises(ValueError, match=said):
            crd_loss(**({"log_ratio": ratio, "optimality": wanted, "prompt_ids": IDS} | changes))
