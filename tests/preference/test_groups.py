"""The loss of groups: a pair is a pair, order and padding change nothing, and nothing is learned of ties."""

import pytest
import torch

from dina_lrm.preference.groups import group_preference_loss
from dina_lrm.preference.presets import preference_preset

PAPER, RELEASED = preference_preset("paper"), preference_preset("released")
NAN = float("nan")


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def all_of(groups: int, items: int) -> torch.Tensor:
    return torch.ones(groups, items, dtype=torch.bool)


def test_a_group_of_two_is_our_loss_of_a_pair():
    scores, targets, sigma = drawn(0, 5, 2), drawn(1, 5, 2), torch.linspace(0, 1, 5)
    for objective in (PAPER, RELEASED):
        found = group_preference_loss(scores, targets, all_of(5, 2), sigma, objective)
        wanted = (targets[:, 0] > targets[:, 1]).float()
        torch.testing.assert_close(found, objective(scores[:, 0] - scores[:, 1], sigma, wanted))


def test_order_and_masked_items_change_nothing():
    scores, targets, sigma = drawn(0, 3, 6), drawn(1, 3, 6), torch.full((3,), 0.4)
    found = group_preference_loss(scores, targets, all_of(3, 6), sigma, PAPER)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        group_preference_loss(scores[:, order], targets[:, order], all_of(3, 6), sigma, PAPER), found
    )
    mask = torch.cat([all_of(3, 6), ~all_of(3, 2)], dim=1)
    padded = [
        torch.cat([values, torch.full((3, 2), filling)], dim=1) for values, filling in ((scores, NAN), (targets, 9))
    ]
    torch.testing.assert_close(group_preference_loss(*padded, mask, sigma, PAPER), found)
    unknown = torch.cat([targets, torch.full((3, 2), NAN)], dim=1)
    torch.testing.assert_close(group_preference_loss(padded[0], unknown, all_of(3, 8), sigma, PAPER), found)


def test_pairs_that_are_not_separated_by_more_than_the_gap_count_for_nothing():
    scores = drawn(0, 2, 3).requires_grad_()
    targets = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.5, 1.2]])
    found = group_preference_loss(scores, targets, all_of(2, 3), torch.zeros(2), PAPER, gap=1.0)
    assert found[0] == 0
    torch.testing.assert_close(found[1:], PAPER(scores[1:, 0] - scores[1:, 2], torch.zeros(1), torch.zeros(1)))
    found.sum().backward()
    assert torch.equal(scores.grad[0], torch.zeros(3)) and scores.grad[1, 1] == 0


def test_a_badly_inverted_pair_learns_without_a_floor_only():
    def gradient(objective):
        scores = torch.tensor([[-3.0, 3.0]], requires_grad=True)
        loss = group_preference_loss(scores, torch.tensor([[1.0, 0.0]]), all_of(1, 2), torch.zeros(1), objective)
        loss.sum().backward()
        return scores.grad.abs().max()

    assert gradient(preference_preset("bradley-terry")) > 0.4
    assert gradient(RELEASED) == 0


def test_a_negative_gap_is_refused():
    with pytest.raises(ValueError, match=r"gap: got -1.*at least 0"):
        group_preference_loss(drawn(0, 1, 2), drawn(1, 1, 2), all_of(1, 2), torch.zeros(1), PAPER, gap=-1.0)
