"""FlowDPPO's mask and GARDO's gate as numbers: what is masked, who is held near the base, what is reshaped."""

import math

import pytest
import torch

from dina_lrm.alignment.algorithms.grpo.divergence_loss import divergence_policy_loss
from dina_lrm.alignment.algorithms.grpo.diverse import diverse_advantages, features_of
from dina_lrm.alignment.algorithms.grpo.kl_gate import gate, proxy_uncertainty
from dina_lrm.alignment.algorithms.policy_loss import gaussian_kl, guarded_log_ratio
from dina_lrm.generators.kernels import GaussianStep


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def a_step(divergence, samples=500, dims=4096):
    """A step that is `divergence` from the old one, and states drawn from the old one."""
    std, moved = torch.full((1, 1, 1, 1), 0.3), math.sqrt(2 * divergence) * 0.3
    old = GaussianStep(torch.zeros(samples, 1, 1, dims), std)
    return GaussianStep(torch.full((samples, 1, 1, dims), moved), std), old, old.sample(drawn(samples, 1, 1, dims))


def test_without_a_limit_it_is_the_plain_surrogate():
    ratio, advantage = (0.1 * drawn(8)).requires_grad_(), drawn(8, seed=1)
    found = divergence_policy_loss(ratio, ratio.detach(), torch.ones(8), advantage, math.inf)
    torch.testing.assert_close(found.loss, -advantage * ratio.exp())
    found.loss.sum().backward()
    torch.testing.assert_close(ratio.grad, -advantage * ratio.detach().exp())
    assert found.clipped == 0


def test_the_first_update_masks_nothing_and_a_way_back_is_never_masked():
    zero, advantage = torch.zeros(4), torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert divergence_policy_loss(zero, zero, zero, advantage).clipped == 0
    further, back = advantage, -advantage
    ratio = (0.01 * further).requires_grad_()
    found = divergence_policy_loss(ratio, further, torch.ones(4), advantage)
    found.loss.sum().backward()
    assert found.clipped == 1 and (found.loss == 0).all() and (ratio.grad == 0).all()
    assert divergence_policy_loss(0.01 * back, back, torch.ones(4), advantage).clipped == 0


def test_under_the_old_policy_both_signs_are_masked_alike_which_the_plain_ratio_does_not():
    new, old, x_next = a_step(1e-3)
    plain, centred = new.log_ratio(old, x_next), guarded_log_ratio(new, old, x_next)
    divergence = gaussian_kl(new, old, "exact")
    torch.testing.assert_close(divergence, torch.full((500,), 1e-3), rtol=1e-4, atol=0)

    def masked(signs, sign):
        return float(divergence_policy_loss(plain, signs, divergence, torch.full((500,), sign), 1e-4).clipped)

    assert [masked(centred, sign) for sign in (1.0, -1.0)] == pytest.approx([0.5, 0.5], abs=0.08)
    above = 0.5 * math.erfc(math.sqrt(1e-3 * 4096 / 2) / math.sqrt(2))
    assert [masked(plain, sign) for sign in (1.0, -1.0)] == pytest.approx([above, 1 - above], abs=0.05)
    assert above < 0.1


def test_who_is_held_is_whom_the_reward_ranks_higher_than_its_witnesses():
    proxy, witness = torch.arange(10.0), torch.arange(10.0).flip(0)
    found = proxy_uncertainty(proxy, torch.stack([witness, witness]))
    assert found.argmax() == 9 and found[9] == 1 and found[0] == -1
    assert gate(found, 0.2).nonzero().flatten().tolist() == [8, 9]
    assert gate(found, 1.0).all()


def test_raising_an_images_reward_only_opens_its_gate():
    proxy, witnesses = drawn(20), drawn(3, 20, seed=1)
    for image in range(20):
        held = [
            bool(gate(proxy_uncertainty(torch.where(torch.arange(20) == image, value, proxy), witnesses), 0.25)[image])
            for value in torch.linspace(-4, 4, 9)
        ]
        assert held == sorted(held)


def test_only_ranks_count_and_a_reward_that_is_its_own_witness_holds_nobody():
    proxy, witnesses = drawn(20), drawn(3, 20, seed=1)
    found = proxy_uncertainty(proxy, witnesses)
    assert torch.equal(found, proxy_uncertainty(proxy.exp() * 7, witnesses.sigmoid()))
    own = proxy_uncertainty(proxy, proxy[None])
    assert (own == 0).all() and not gate(own, 0.5).any()


def test_what_is_unlike_its_group_counts_more_among_the_good_alone():
    latents = torch.cat([drawn(1, 4, 8, 8).repeat(2, 1, 1, 1), drawn(2, 4, 8, 8, seed=1)])
    ids, advantage = torch.zeros(4, dtype=torch.long), torch.tensor([1.0, -1.0, 1.0, -1.0])
    found = diverse_advantages(advantage, features_of(latents), ids)
    assert torch.equal(found[1::2], advantage[1::2]) and found[0] == pytest.approx(0, abs=1e-6) and found[2] > 1
    steps = diverse_advantages(advantage[:, None].repeat(1, 3), features_of(latents), ids)
    assert torch.equal(steps, found[:, None].repeat(1, 3))
    # Neither a group of copies nor another prompt's likeness changes anything
    same = diverse_advantages(advantage, torch.ones(4, 3), ids)
    apart = diverse_advantages(advantage, torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))
    assert torch.equal(same, advantage) and torch.equal(apart, advantage)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: divergence_policy_loss(*[torch.zeros(2)] * 4, threshold=0.0), "threshold is 0.0"),
        (lambda: divergence_policy_loss(torch.full((2,), torch.nan), *[torch.zeros(2)] * 3), "not finite"),
        (lambda: gate(torch.zeros(2), 0.0), r"share is 0.0; accepted: a number in \(0, 1\]"),
        (lambda: proxy_uncertainty(torch.zeros(2), torch.zeros(0, 2)), "at least one"),
        (lambda: proxy_uncertainty(torch.zeros(1), torch.zeros(1, 1)), "at least two"),
        (lambda: proxy_uncertainty(torch.full((2,), torch.nan), torch.zeros(1, 2)), "not finite"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
