"""On-policy distillation: its loss, its weights, what it expects, and an update of the bundled generator."""

from dataclasses import replace

import pytest
import torch

from dina_lrm.alignment.algorithms.distill.loss import distillation_loss, step_weights, velocity_factor
from dina_lrm.alignment.algorithms.distill.settings import DistillSettings
from dina_lrm.diffusion.process import RectifiedFlow
from dina_lrm.generators.kernels import FlowSde
from dina_lrm.sampling.guidance import joined, matched_guidance
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import DISTILL, PROMPTS, a_generator, an_algorithm, updated, with_rewards

SHIFTED = torch.tensor([3 * s / (1 + 2 * s) for s in torch.linspace(1, 0, 11).tolist()])
"""Ten steps with shift 3."""


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_student_that_is_its_teacher_has_no_loss_and_no_gradient():
    student = randn(2, 3, 4, 4).requires_grad_()
    loss = distillation_loss(student, student.detach().clone())
    loss.sum().backward()
    assert loss.tolist() == [0, 0] and not student.grad.any()


def test_no_gradient_reaches_the_teacher_and_weights_are_of_samples():
    student, teacher = torch.zeros(2, 1, 2, 2, requires_grad=True), torch.full((2, 1, 2, 2), 3.0, requires_grad=True)
    loss = distillation_loss(student, teacher, torch.tensor([1.0, 0.5]))
    loss.sum().backward()
    assert loss.tolist() == [9.0, 4.5] and teacher.grad is None
    torch.testing.assert_close(student.grad[:, 0, 0, 0], torch.tensor([-6.0 / 4, -3.0 / 4]))


def test_the_weights_of_a_shifted_schedule_are_those_of_the_steps():
    flow = RectifiedFlow()
    assert step_weights("unit", flow, SHIFTED).tolist() == [1.0] * 9
    mean, kl = step_weights("mean", flow, SHIFTED), step_weights("kl", flow, SHIFTED)
    torch.testing.assert_close(mean, SHIFTED.diff()[:-1].square())
    assert (mean[0].item(), mean[-1].item()) == pytest.approx((0.0013, 0.032), rel=0.03)
    assert (kl[0].item(), kl[-1].item()) == pytest.approx((0.0013, 0.38), rel=0.03)
    # The exact divergence of two Gaussian steps whose velocities differ
    x, v, w = randn(1, 1, 2, 2), randn(1, 1, 2, 2, seed=1), randn(1, 1, 2, 2, seed=2)
    one, two = (FlowSde(0.7).step(flow, x, each, SHIFTED[4], SHIFTED[5]) for each in (v, w))
    exact = ((one.mean - two.mean).square() / (2 * one.std.square())).mean()
    assert distillation_loss(v, w, kl[4].item()).item() == pytest.approx(exact.item(), rel=1e-4)


def test_the_four_gradients_of_one_step_have_the_expectations_that_they_should():
    """A Gaussian step of mean m and std s beside its teacher's: only the closed form is the gradient without noise."""
    std, teacher, count = 0.5, 0.3, 100_000
    mean = torch.tensor(1.1, dtype=torch.float64, requires_grad=True)
    action = mean.detach() + std * randn(count)

    def log_prob(at):
        return -(action - at).square() / (2 * std**2)

    def closed(at):
        return distillation_loss(at.expand(1, 1, 1, 1), torch.full((1, 1, 1, 1), teacher), 1 / (2 * std**2))[0]

    def gradients(loss):
        """Of each draw by itself: the derivative with respect to the mean, which all draws share."""
        own = mean.detach().expand(count).clone().requires_grad_()
        loss(own).sum().backward()
        return own.grad

    (exact,) = torch.autograd.grad(closed(mean), mean)
    assert exact.item() == pytest.approx((1.1 - teacher) / std**2, rel=1e-6)
    divergence = closed(mean.detach())
    detached = gradients(lambda at: divergence * log_prob(at))
    error = detached.std().item() / count**0.5
    assert abs(detached.mean().item()) < 4 * error  # what does not depend on the action teaches nothing
    ratio = gradients(lambda at: (at - teacher).square() / (2 * std**2) * (log_prob(at) - log_prob(at).detach()).exp())
    assert ratio.mean().item() == pytest.approx(exact.item(), abs=4 * ratio.std().item() / count**0.5)
    advantage = log_prob(torch.tensor(teacher)) - log_prob(mean.detach())
    drawn = gradients(lambda at: advantage * log_prob(at))
    assert drawn.mean().item() == pytest.approx(-exact.item(), abs=4 * drawn.std().item() / count**0.5)
    assert drawn.std() > abs(exact)  # beside the closed form, which has no noise at all


def test_the_move_is_a_share_of_the_step_whatever_the_size_of_the_gradients():
    x, x_next = randn(2, 4, 3, 3), randn(2, 4, 3, 3, seed=1)
    gradients = {"a": randn(2, 4, 3, 3, seed=2), "b": randn(2, 4, 3, 3, seed=3)}
    weights = {"a": 1.0, "b": -0.5}
    found = matched_guidance(x, x_next, gradients, weights, 0.4)
    sizes = (found - x_next).square().mean((1, 2, 3)).sqrt() / (x_next - x).square().mean((1, 2, 3)).sqrt()
    assert sizes.tolist() == pytest.approx([0.4, 0.4])
    louder = {"a": 1e6 * gradients["a"], "b": 1e-30 * gradients["b"]}
    torch.testing.assert_close(matched_guidance(x, x_next, louder, weights, 0.4), found)
    assert torch.equal(matched_guidance(x, x_next, gradients, weights, 0.0), x_next)
    nothing = {name: torch.zeros_like(x) for name in gradients}
    assert torch.equal(matched_guidance(x, x_next, nothing, weights, 0.4), x_next)
    torch.testing.assert_close(
        joined({**gradients, "b": nothing["b"]}, weights), joined({"a": gradients["a"]}, {"a": 1.0})
    )
    with pytest.raises(ValueError, match=r"gradients of \['a', 'b'\] and weights of \['a'\]"):
        joined(gradients, {"a": 1.0})


def test_the_published_move_is_guidance_of_the_velocity():
    """v_T = v - scale RMS(v) g / RMS(g), which is a clean estimate moved by scale t RMS(v)."""
    flow, x, v, g = RectifiedFlow(), randn(1, 4, 3, 3), randn(1, 4, 3, 3, seed=1), randn(1, 4, 3, 3, seed=2)
    t, t_next = torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.45, dtype=torch.float64)
    x_next = x + (t_next - t) * v
    teacher = v + (matched_guidance(x, x_next, {"r": g}, {"r": 1.0}, 0.4) - x_next) / velocity_factor(flow, t, t_next)
    size, unit = v.square().mean().sqrt(), g / g.square().mean().sqrt()
    torch.testing.assert_close(teacher, v - 0.4 * size * unit, rtol=1e-6, atol=1e-9)
    moved = flow.clean_from_velocity(x, v, t) + 0.4 * t * size * unit
    torch.testing.assert_close(flow.velocity_from_clean(x, moved, t), teacher, rtol=1e-6, atol=1e-9)


def test_without_scale_the_base_model_is_the_fixed_point_and_no_reward_is_asked():
    generator = a_generator(DISTILL)
    algorithm = an_algorithm(replace(DISTILL, distill=DistillSettings(scale=0.0)), generator)
    outcome = algorithm.update(0, lambda: sum(p.grad.abs().sum().item() for p in generator.parameters.values()))
    assert outcome.loss == 0 == outcome.gradient_norm == outcome.details["to_base"] == algorithm.evaluations


def test_rewards_are_asked_within_their_band_alone_and_small_steps_come_nearer_to_the_teacher():
    config = replace(with_rewards(DISTILL, "latent:synthetic", "sharpness"), distill=DistillSettings(lowest=0.5))
    generator = a_generator(config)
    algorithm = an_algorithm(config, generator)
    inside = sum(level >= 0.5 for level in algorithm.levels[:-2].tolist())
    assert 0 < inside < len(algorithm.levels) - 2
    first = algorithm.update(0, lambda: 0.0)
    assert algorithm.evaluations == 2 * inside * config.batch_size  # two rewards
    assert first.loss > 0 == first.details["to_base"] and first.loss == pytest.approx(first.details["to_teacher"])
    for parameter in generator.parameters.values():
        parameter.grad = None
    one = replace(DISTILL, rewards=(RewardTerm("latent:synthetic"),), distill=DistillSettings(reading="noisy"))
    before, after = updated(one, generator, lr=0.02), updated(one, generator)
    assert after.details["to_teacher"] < before.details["to_teacher"] and after.details["to_base"] > 0


def test_a_teacher_with_guidance_alone_is_the_guided_base_and_the_student_is_never_guided():
    config = replace(DISTILL, distill=DistillSettings(scale=0.0, guidance=3.0))
    generator = a_generator(config)
    algorithm = an_algorithm(config, generator)
    outcome = algorithm.update(0, lambda: 0.0)
    # The student begins at the base under the prompts alone, but for the size of the batch it is evaluated in
    assert outcome.details["to_base"] < 1e-10 and algorithm.evaluations == 0
    assert outcome.loss == pytest.approx(outcome.details["to_teacher"]) and outcome.loss > 0
    x, level = generator.noise([1, 2]), algorithm.levels[2]
    conditioning = generator.encode_prompts(PROMPTS[:2])
    with torch.no_grad():
        plain, guided = generator.plain_and_guided(x, level, conditioning, 3.0)
        torch.testing.assert_close(plain, generator.velocity(x, level, conditioning), rtol=1e-4, atol=1e-5)
        assert torch.equal(guided, generator.velocity(x, level, conditioning, 3.0))
        assert (guided - plain).abs().max() > 1e-3
        one, other = generator.plain_and_guided(x, level, conditioning, 1.0)
        assert one is other


def test_guidance_and_rewards_move_the_teacher_at_once():
    """Beside guidance alone, the reward adds a share of the length of the guided step."""
    config = replace(DISTILL, distill=DistillSettings(scale=0.4, guidance=3.0))
    both, alone = (
        an_algorithm(replace(config, distill=replace(config.distill, scale=scale)), a_generator(config)).update(
            0, lambda: 0.0
        )
        for scale in (0.4, 0.0)
    )
    assert both.loss > alone.loss


def test_what_cannot_be_meant_is_refused_by_name():
    with pytest.raises(ValueError, match=r"distill.lowest, distill.highest: got \(0.5, 0.5\); accepted: lowest < high"):
        DistillSettings(lowest=0.5, highest=0.5)
    with pytest.raises(ValueError, match=r"distill.scale: got -1"):
        DistillSettings(scale=-1.0)
    with pytest.raises(ValueError, match=r"distill.guidance: got -1"):
        DistillSettings(guidance=-1.0)
    with pytest.raises(ValueError, match=r"reward 'jpeg-size' has no gradient"):
        with_rewards(DISTILL, "jpeg-size")
    noisy = replace(with_rewards(DISTILL, "latent:synthetic", "sharpness"), distill=DistillSettings(reading="noisy"))
    with pytest.raises(ValueError, match=r"distill.reading noisy scores unfinished samples: got sharpness"):
        an_algorithm(noisy)
