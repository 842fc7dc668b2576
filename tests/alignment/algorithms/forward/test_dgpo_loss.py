"""Laws of direct group preference optimisation."""

import pytest
import torch
from torch.nn.functional import logsigmoid

from dina_lrm.alignment.algorithms.dpo_loss import dpo_loss
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_loss import dgpo_loss, errors_within

IDS = torch.tensor([3, 3, 3, 0, 0, 0])
ADVANTAGE = torch.tensor([1.0, -0.25, -0.75, 0.5, 0.5, -1.0], dtype=torch.float64)


def drawn(seed, count=6):
    return torch.rand(2, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_of_two_images_it_is_dpo_of_the_same_beta():
    (winner, loser), (winner_before, loser_before) = drawn(0, 2)
    errors, before = torch.stack([winner, loser]), torch.stack([winner_before, loser_before])
    found = dgpo_loss(errors, before, torch.tensor([1.0, -1.0]), torch.tensor([8, 8]), beta=20.0)
    expected = dpo_loss(winner[None], loser[None], winner_before[None], loser_before[None], beta=20.0)
    torch.testing.assert_close(found.loss.float(), expected)


def test_the_weight_is_a_half_at_the_reference_and_falls_as_the_group_is_told_apart():
    error, _ = drawn(1)
    assert dgpo_loss(error, error, ADVANTAGE, IDS).weight.tolist() == [0.5, 0.5]
    further = [dgpo_loss(error - step * ADVANTAGE, error, ADVANTAGE, IDS).weight for step in (0.01, 0.02)]
    assert (further[0] < 0.5).all() and (further[1] < further[0]).all()


def test_what_all_errors_of_a_prompt_share_cancels():
    error, before = drawn(2)
    shift = torch.where(IDS == 3, 5.0, -2.0).double()
    plain, moved = dgpo_loss(error, before, ADVANTAGE, IDS), dgpo_loss(error + shift, before, ADVANTAGE, IDS)
    torch.testing.assert_close(moved.loss, plain.loss)
    torch.testing.assert_close(moved.weight, plain.weight)


def test_the_gradient_is_that_of_the_published_surrogate_times_beta():
    error, before = drawn(3)
    error.requires_grad_()
    found = dgpo_loss(error, before, ADVANTAGE, IDS, beta=7.0)
    (gradient,) = torch.autograd.grad(found.loss.sum(), error)
    surrogate = (found.weight[(IDS == 3).long()] * ADVANTAGE * error).sum() / 3
    torch.testing.assert_close(gradient, 7.0 * torch.autograd.grad(surrogate, error)[0])
    # Groups come in the order of their ids
    logit = (ADVANTAGE * (error - before))[3:].mean()
    torch.testing.assert_close(found.loss[0], -logsigmoid(-7.0 * logit))


def test_errors_that_went_far_enough_pull_no_more():
    error = torch.tensor([0.5, 0.5, 0.7, 0.7]).requires_grad_()
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])
    bounded = errors_within(error, torch.full((4,), 0.6), advantage, clip=0.05)
    (gradient,) = torch.autograd.grad((advantage * bounded).sum(), error)
    assert torch.equal(bounded, error) and gradient.tolist() == [0.0, -1.0, 1.0, 0.0]


def test_groups_that_are_not_complete_are_refused():
    error, before = drawn(4)
    with pytest.raises(ValueError, match=r"prompt 3 has 2 images where others have 3 \(1 such prompts\)"):
        dgpo_loss(error[1:], before[1:], ADVANTAGE[1:], IDS[1:])
    with pytest.raises(ValueError, match=r"advantages of prompt 0 have a mean of 0.333 \(1 such prompts\)"):
        dgpo_loss(error, before, ADVANTAGE + torch.tensor([0.0, 0, 0, 1, 0, 0]), IDS)
    with pytest.raises(ValueError, match="a group of one image"):
        dgpo_loss(error, before, torch.zeros(6), torch.arange(6))
    with pytest.raises(ValueError, match="advantage: 1 of 6 values are not finite"):
        dgpo_loss(error, before, torch.tensor([0.0, 0, 0, 0, 0, torch.nan]), IDS)
    with pytest.raises(ValueError, match=r"beta -1\.0"):
        dgpo_loss(error, before, ADVANTAGE, IDS, beta=-1.0)
