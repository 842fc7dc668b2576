"""Flow-GRPO: the ratio is 1 before anything is learned, better images grow likelier, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dina_lrm.alignment.algorithms.advantages import ConstantRewardWarning
from dina_lrm.alignment.algorithms.grpo.flow_grpo import window_of
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig, GrpoSettings
from dina_lrm.alignment.algorithms.rollout import roll_out, step_of
from dina_lrm.generators.kernels import Ddim, FlowSde, Ode, stochastic_kernel
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import GRPO, PROMPTS, a_generator, an_algorithm, updated, with_rewards

ONE = replace(GRPO, grpo=replace(GRPO.grpo, updates=1))


def settled(**changes):
    return replace(ONE, grpo=replace(ONE.grpo, **changes))


@pytest.mark.parametrize(
    ("config", "generator"),
    [
        (ONE, "synthetic"),
        (settled(kernel="cps"), "synthetic"),
        (settled(guard=True), "synthetic"),
        (settled(window="every"), "synthetic"),
        (replace(settled(kernel="ddim", eta=1.0), rewards=(RewardTerm("jpeg-size"),)), "synthetic-unet"),
    ],
    ids=["flow-sde", "cps", "guard", "every step", "unet ddim"],
)
def test_the_ratio_is_1_and_nothing_is_clipped_before_anything_was_learned(config, generator):
    outcome = updated(config, a_generator(name=generator))
    assert outcome.details["ratio"] == pytest.approx(1, abs=1e-6)
    assert outcome.details["clipped"] == 0 and outcome.details["divergence"] == pytest.approx(0, abs=1e-12)
    assert outcome.gradient_norm > 0 and outcome.details["zero_spread_groups"] == 0


def test_later_optimiser_steps_of_an_update_move_away_from_the_old_policy():
    outcome = updated(replace(GRPO, grpo=replace(GRPO.grpo, updates=2)), lr=1.0)
    assert outcome.details["divergence"] > 1e-10


def test_an_update_makes_better_images_likelier():
    """The mean of advantage times log-ratio, to which the gradient points, grows by a small step along it."""
    config, generator = replace(ONE, grpo=replace(ONE.grpo, group=4)), a_generator()
    algorithm = an_algorithm(config, generator)
    learned = updated(config, generator, lr=1e-3)
    # The same draws again: the log-ratio of what was sampled by the policy before the step
    with generator.reference():
        before = algorithm._sample(0, np.random.default_rng([config.seed, 0]))
    gain = 0.0
    for rows, rollout in zip(algorithm.own_parts(), before.rollouts, strict=True):
        for taken in rollout.transitions:
            with torch.no_grad():
                new = step_of(generator, FlowSde(0.7), taken.x, taken.level, taken.next_level, rollout.conditioning)
            gain += float((before.advantages.values[rows] * new.log_ratio(taken.step, taken.x_next)).sum())
    assert learned.gradient_norm > 0 and gain > 0


def test_without_stochastic_steps_a_rollout_is_the_generators_sampling():
    generator = a_generator()
    conditioning, levels = generator.encode_prompts(PROMPTS), generator.levels(5)
    noise = generator.noise([1, 2, 3])
    plain = generator.denoise(noise, conditioning, levels)
    rolled = roll_out(generator, conditioning, noise, levels, range(0), Ode(), [1, 2, 3])
    assert torch.equal(rolled.latents, plain) and rolled.transitions == ()


def test_a_rollout_is_a_function_of_each_images_seed():
    generator = a_generator()
    levels, kernel = generator.levels(5), FlowSde(0.7)

    def rolled(seeds):
        conditioning = generator.encode_prompts([PROMPTS[0]] * len(seeds))
        return roll_out(generator, conditioning, generator.noise([9] * len(seeds)), levels, range(2), kernel, seeds)

    both, alone = rolled([3, 4]), rolled([4])
    assert [len(each.transitions) for each in (both, alone)] == [2, 2]
    torch.testing.assert_close(both.latents[1:], alone.latents, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(both.latents[0], both.latents[1])


def test_images_of_a_prompt_may_begin_alike():
    algorithm = an_algorithm(settled(shared_noise=True))
    rollouts = algorithm._sample(0, np.random.default_rng(0)).rollouts
    first = torch.cat([rollout.transitions[0].x for rollout in rollouts])
    assert torch.equal(first[0], first[1]) and not torch.equal(first[1], first[2])


def test_several_rewards_normalised_in_their_groups():
    rewards = (RewardTerm("sharpness"), RewardTerm("jpeg-size", 0.5))
    outcome = updated(replace(settled(combination="normalised", group=4), rewards=rewards))
    # What is said of the update is the objective, not the mean of what was normalised, which is 0
    assert outcome.reward == pytest.approx(outcome.parts["sharpness"] + 0.5 * outcome.parts["jpeg-size"], rel=1e-4)
    assert set(outcome.parts) == {"sharpness", "jpeg-size"} and abs(outcome.reward) > 1e-3


def test_a_divergence_from_the_base_model_enters_the_loss():
    generator = a_generator()
    with torch.no_grad():
        for name, parameter in generator.parameters.items():
            if "lora_B" in name:
                parameter += 0.02
    assert updated(settled(kl_weight=0.1), generator).details["kl"] > 0 == updated(ONE, generator).details["kl"]


def test_a_group_without_spread_is_counted_and_teaches_nothing():
    with pytest.warns(ConstantRewardWarning, match="told no images of a prompt apart, in any of 2 groups"):
        outcome = updated(replace(ONE, rewards=(RewardTerm("sharpness", weight=0.0),)))
    assert outcome.details["zero_spread_groups"] == 2 and outcome.gradient_norm == 0


def gradients(reward, **changes):
    """The outcome of an update with a reward, and the gradient that it learned from."""
    config, found = with_rewards(settled(**changes), reward), {}
    algorithm = an_algorithm(config, a_generator())

    def learn():
        for name, parameter in algorithm.generator.parameters.items():
            found[name], parameter.grad = parameter.grad, None
        return 1.0

    return algorithm.update(0, learn), found


def test_flat_groups_may_be_left_out_so_that_they_do_not_dilute_the_others():
    """Two groups, one flat: without it the mean is over half as many images, so the gradient is twice as large."""
    name = "python:tests.rewards.functions.flat_on_black"
    plain, diluted = gradients(name)
    dropped, whole = gradients(name, drop_flat_groups=True)
    assert plain.details["zero_spread_groups"] == dropped.details["zero_spread_groups"] == 1
    assert any(gradient.abs().max() > 0 for gradient in whole.values())
    for name, gradient in whole.items():
        torch.testing.assert_close(gradient, 2 * diluted[name], rtol=1e-3, atol=1e-7)


def test_where_no_group_is_flat_dropping_changes_nothing():
    (plain, before), (dropped, after) = gradients("sharpness"), gradients("sharpness", drop_flat_groups=True)
    assert plain == dropped
    assert all(torch.equal(gradient, after[name]) for name, gradient in before.items())


def test_where_all_groups_are_dropped_nothing_is_learned_and_that_is_said():
    with pytest.warns(ConstantRewardWarning):
        outcome, found = gradients("python:tests.rewards.functions.constant", drop_flat_groups=True)
    assert np.isnan(outcome.loss) and outcome.gradient_norm == 0 and not found
    assert outcome.details["zero_spread_groups"] == 2


def test_windows_and_kernels_by_name():
    names = {window: type(window_of(GrpoSettings(window=window))).__name__ for window in ("every", "first", "random")}
    assert names == {"every": "EveryStep", "first": "FirstSteps", "random": "RandomWindow"}
    assert type(window_of(GrpoSettings(window="sliding"))).__name__ == "SlidingWindow"
    assert stochastic_kernel("ddim", 0.5) == Ddim(0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GrpoSettings(group=1), "at least two images a prompt"),
        (lambda: replace(GRPO, grpo=replace(GRPO.grpo, group=3)), "a divisor of batch_size, 4"),
        (lambda: replace(GRPO, grpo=replace(GRPO.grpo, updates=3)), "a divisor of 2 micro-batches"),
        (lambda: replace(GRPO, grpo=replace(GRPO.grpo, window_steps=4)), "window_steps: got 4; accepted: at most 3"),
        (lambda: GrpoSettings(guard=True, kernel="cps"), "Gaussian kernels"),
        (lambda: GrpoSettings(clip=0.0), "between 0 and 1"),
        (lambda: an_algorithm(settled(window="random", window_until=0.25)), "does not fit in the first 0.25 of 4"),
        (
            lambda: an_algorithm(with_rewards(GRPO, "jpeg-size"), a_generator(name="synthetic-unet")),
            "FlowSde: .* accepted: RectifiedFlow",
        ),
    ],
)
def test_what_is_refused(make, message):
    assert isinstance(GRPO, GrpoConfig)
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, ((-1.960676, 0.1271813, 0.0), (0.4841177, 0.1447046, 0.0))),
        ({"guard": True}, ((-1.960676, 0.2309408, 0.0), (0.4287351, 0.2659839, 0.0))),
        ({"kl_weight": 100.0}, ((-1.960676, 0.1271813, 0.0), (0.4841177, 18.77785, 0.01044423))),
    ],
    ids=["plain", "guard", "kl"],
)
def test_the_numbers_are_those_from_before_it_had_other_objectives(changes, wanted):
    """Reward, norm of the gradient and KL of two updates, found before step rewards and what came with them."""
    config = settled(group=4, **changes)
    algorithm = an_algorithm(config)

    def learn():
        learning = [p for p in algorithm.generator.parameters.values() if p.grad is not None]
        norm = sum(p.grad.square().sum().item() for p in learning) ** 0.5
        with torch.no_grad():
            for parameter in learning:
                parameter -= 0.5 / norm * parameter.grad
                parameter.grad = None
        return norm

    for step, (reward, norm, kl) in enumerate(wanted):
        outcome = algorithm.update(step, learn)
        found = (outcome.reward, outcome.gradient_norm, outcome.details["kl"])
        # Ten times what turning off the processor's vector instructions changes
        assert found == pytest.approx((reward, norm, kl), rel=2e-3, abs=1e-9)
