"""The loop of the forward process: its levels, its older policy, what an update tells, what it refuses."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from dina_lrm.alignment.algorithms.forward.levels import logit_normal_levels, shifted, visited_levels
from dina_lrm.alignment.algorithms.forward.loop import ForwardWarning
from dina_lrm.alignment.algorithms.forward.old_policy import DECAYS, OldPolicy
from dina_lrm.diffusion.process import RectifiedFlow, VariancePreserving
from dina_lrm.generators.schedule import level_shift, sampling_levels
from tests.alignment.runs import AWM, NFT, a_generator, an_algorithm, updated


def test_each_image_takes_the_levels_of_the_sampler_in_an_order_of_its_own():
    levels = torch.tensor([1.0, 0.8, 0.5, 0.2, 0.0])
    found = visited_levels(levels, 50, 4, np.random.default_rng(0))
    assert torch.equal(found.sort(dim=1, descending=True).values, levels[:-1].expand(50, 4))
    assert len({tuple(row.tolist()) for row in found}) > 10
    few = visited_levels(levels, 50, 2, np.random.default_rng(0))
    assert torch.equal(few, found[:, :2])
    with pytest.raises(ValueError, match="5 noise levels an image; accepted: 1 to 4"):
        visited_levels(levels, 2, 5, np.random.default_rng(0))


def test_logit_normal_levels_are_shifted_towards_noise_and_stratified():
    found = logit_normal_levels(3.0, 2000, 4, np.random.default_rng(0))
    assert found.mean().item() == pytest.approx(0.71, abs=0.005)
    plain = logit_normal_levels(1.0, 2000, 4, np.random.default_rng(0))
    assert plain.mean().item() == pytest.approx(0.5, abs=0.005)
    # One of each quarter for every image
    quarters = torch.special.ndtr(plain.double().logit()).mul(4).floor()
    assert torch.equal(quarters.sort(dim=1).values, torch.arange(4.0).double().expand(2000, 4))
    torch.testing.assert_close(shifted(shifted(plain, 3.0), 1 / 3), plain)
    with pytest.raises(ValueError, match=r"shift of noise levels: 0.0; accepted: a finite number above 0"):
        shifted(plain, 0.0)


@pytest.mark.parametrize("said", [{}, {"shift": 3.0}, {"use_dynamic_shifting": True}])
def test_the_shift_of_a_scheduler_is_that_of_the_level_in_its_middle(said):
    scheduler, process = FlowMatchEulerDiscreteScheduler(**said), RectifiedFlow()
    shift = level_shift(scheduler, process, 4096)
    middle = sampling_levels(scheduler, process, 3, 4096)[1].item()
    assert shifted(torch.tensor(0.5), shift).item() == pytest.approx(middle, abs=2e-3)
    expected = {"shift": 3.0, "use_dynamic_shifting": math.exp(1.15)}.get(next(iter(said), ""), 1.0)
    assert shift == pytest.approx(expected)
    assert level_shift(DDIMScheduler(), VariancePreserving(torch.tensor([0.9, 0.1])), 4096) == 1


def test_the_old_policy_lags_as_its_schedule_says():
    found = {}
    for name, decay in DECAYS.items():
        lag = 0.0
        for update in range(1, 801):
            # How many updates the copy is behind one that moves by 1 each time
            lag = decay.at(update) * (lag + 1)
            found[name, update] = lag
    assert [found["slow", n] for n in (10, 100)] == pytest.approx([0.01, 0.11], abs=0.005)
    assert found["slow", 800] == pytest.approx(1.0, abs=1e-6) and found["copy", 800] == 0
    assert found["late", 75] == 0 and [found["late", n] for n in (100, 200)] == pytest.approx([0.2, 8], rel=0.2)
    assert (
        found["late", 500] == pytest.approx(263, rel=0.02)
        and max(v for (n, _), v in found.items() if n == "short") < 0.43
    )


def test_the_old_policy_acts_inside_and_leaves_no_trace():
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    old = OldPolicy({"weight": weight}, "slow", updates=100)
    with torch.no_grad():
        weight += 1
    with old.acting():
        assert weight.tolist() == [1.0, 2.0]
    assert weight.tolist() == [2.0, 3.0]
    old.move(0)  # after 100 updates a tenth stays
    assert old.tensors()["weight"].tolist() == pytest.approx([1.9, 2.9])
    copy = OldPolicy({"weight": weight}, "copy")
    with torch.no_grad():
        weight *= 3
    copy.move(0)
    assert torch.equal(copy.tensors()["weight"], weight)


@pytest.mark.parametrize("config", [NFT, AWM], ids=["nft", "awm"])
def test_an_update_begins_at_the_old_policy_and_raises_what_is_good(config):
    algorithm = an_algorithm(config)
    first = updated(config, algorithm.generator, lr=0.5)
    assert first.details["deviation"] == first.details["old_to_ref"] == 0 < first.gradient_norm
    assert 0 < first.details["advantage_spread"] < 1 and first.details["error_good"] > 0
    # The same samples, drawn before it learned, and where it is now
    base = an_algorithm(config, a_generator(config))
    moved, there = algorithm.generator.parameters, base.generator.parameters
    old = base._old
    with torch.no_grad():
        for name, parameter in there.items():
            parameter.copy_(moved[name])
    assert old is not None
    after = base.update(0, lambda: 0.0).details
    assert after["deviation"] > 0
    closer = {side: after[f"error_{side}"] - first.details[f"error_{side}"] for side in ("good", "bad")}
    assert closer["good"] < closer["bad"]


def test_the_same_update_at_any_size_of_micro_batch():
    found = [updated(replace(NFT, micro_batch=size)) for size in (1, 2, 4)]
    for other in found[1:]:
        assert other.loss == pytest.approx(found[0].loss, rel=1e-5)
        assert other.gradient_norm == pytest.approx(found[0].gradient_norm, rel=1e-3)


def test_images_of_a_prompt_are_noised_alike_where_that_is_asked_and_each_by_its_own_else():
    config = replace(AWM, batch_size=8, forward=replace(AWM.forward, shared_noise=True))
    shared, own = (an_algorithm(each)._learner for each in (config, replace(config, forward=AWM.forward)))
    for learner, different in ((shared, 2), (own, 8)):
        levels, seeds = learner.noising(np.random.default_rng(0), torch.linspace(1, 0, 5), 8)
        assert levels.shape == seeds.shape == (8, 4)
        rows = {(*row.tolist(), *seed.tolist()) for row, seed in zip(levels, seeds, strict=True)}
        assert len(rows) == different
        assert len(set(seeds.flatten().tolist())) == 4 * different


def test_a_policy_that_is_its_own_old_one_needs_no_copy():
    config = replace(AWM, forward=replace(AWM.forward, old="copy"))
    algorithm = an_algorithm(config)
    assert algorithm.state() == {} and set(an_algorithm(AWM).state()) == {"old"}
    own, copied = updated(config), updated(replace(config, forward=replace(config.forward, old="short")))
    assert own.loss == pytest.approx(copied.loss, rel=1e-6)
    assert own.gradient_norm == pytest.approx(copied.gradient_norm, rel=1e-4)


def test_what_cannot_be_learned_is_refused_and_what_is_doubtful_said():
    with pytest.raises(ValueError, match=r"forward.group: got 3; accepted: a divisor of batch_size, 4"):
        replace(NFT, forward=replace(NFT.forward, group=3))
    with pytest.raises(ValueError, match=r"forward.group: got 1; accepted: at least two images a prompt"):
        replace(NFT.forward, group=1)
    with pytest.raises(ValueError, match=r"forward.levels_per_image: got 5; accepted: at most 4"):
        replace(NFT, forward=replace(NFT.forward, levels_per_image=5))
    with pytest.raises(ValueError, match=r"forward.updates: got 3; accepted: a divisor of 2 groups"):
        replace(NFT, forward=replace(NFT.forward, updates=3))
    weak = replace(AWM, awm=replace(AWM.awm, hold=0.25, weighting="none"))
    with pytest.warns(ForwardWarning, match="samples of advantage below -0.25 repel without bound"):
        an_algorithm(weak)
