"""Denoising kernels: densities of torch, steps of diffusers, marginals of the ODE, and what every kernel shares."""

import math
from itertools import pairwise
from typing import Any

import diffusers
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dina_lrm.diffusion import ForwardProcess, RectifiedFlow, VariancePreserving, process_from_scheduler
from dina_lrm.generators.kernels import KERNELS, Cps, CpsStep, Ddim, FlowSde, GaussianStep, Kernel, Ode

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # numpy 2 in diffusers

STABLE_DIFFUSION = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
DDIM_SETTINGS: dict[str, Any] = {**STABLE_DIFFUSION, "clip_sample": False, "prediction_type": "v_prediction"}
FLOW = RectifiedFlow()
PROCESSES: dict[str, ForwardProcess] = {
    "flow": FLOW,
    "vp": process_from_scheduler(diffusers.DDIMScheduler(**STABLE_DIFFUSION)),
    "zero snr": process_from_scheduler(diffusers.DDIMScheduler(rescale_betas_zero_snr=True)),
}
process_cases = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES.keys())
STOCHASTIC: dict[str, Kernel] = {"flow-sde": FlowSde(), "cps": Cps(), "ddim": Ddim()}
kernel_cases = pytest.mark.parametrize("kernel", [*STOCHASTIC.values(), Ode()], ids=[*STOCHASTIC.keys(), "ode"])
stochastic_cases = pytest.mark.parametrize("kernel", STOCHASTIC.values(), ids=STOCHASTIC.keys())


def draws(batch: int = 3, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    x, velocity, noise = torch.randn(3, batch, 4, 2, 2, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return x, velocity, noise


@settings(max_examples=25)
@given(std=st.floats(1e-3, 10), seed=st.integers(0, 100))
def test_the_log_density_is_the_mean_of_torchs(std: float, seed: int) -> None:
    mean, x_next = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scales = torch.tensor([std, 2 * std, 3 * std], dtype=torch.float64).reshape(3, 1, 1, 1)
    expected = torch.distributions.Normal(mean, scales).log_prob(x_next).mean((1, 2, 3))
    torch.testing.assert_close(GaussianStep(mean, scales).log_prob(x_next), expected)


def test_a_sample_is_the_mean_and_std_times_the_noise() -> None:
    mean, _, noise = draws()
    std = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64).reshape(3, 1, 1, 1)
    step = GaussianStep(mean, std)
    torch.testing.assert_close(step.sample(noise), mean + std * noise)
    # The density of a sample depends on the noise and the std alone.
    expected = -noise.square().mean((1, 2, 3)) / 2 - std.flatten().log() - math.log(2 * math.pi) / 2
    torch.testing.assert_close(step.log_prob(step.sample(noise)), expected)


@pytest.mark.parametrize("kind", [GaussianStep, CpsStep])
def test_a_log_ratio_is_the_difference_of_log_densities(kind: type[GaussianStep | CpsStep]) -> None:
    old_mean, moved, noise = draws()
    std = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64).reshape(3, 1, 1, 1)
    old, step = kind(old_mean, std), kind(old_mean + 0.1 * moved, std)
    x_next = old.sample(noise)
    torch.testing.assert_close(step.log_ratio(old, x_next), step.log_prob(x_next) - old.log_prob(x_next))
    assert (old.log_ratio(old, x_next) == 0).all()


def test_a_log_ratio_keeps_its_digits_where_the_difference_loses_them() -> None:
    """A policy that has moved by 1e-4 at the size of a picture: log-ratios near 1e-6, right to 1 %, in float32."""
    x, velocity, change, noise = torch.randn(4, 8, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    old, step = (FlowSde().step(FLOW, x, v, 0.9, 0.8) for v in (velocity, velocity + 1e-4 * change))
    x_next = old.sample(noise)
    doubles = [GaussianStep(s.mean.double(), s.std.double()) for s in (step, old)]
    exact = doubles[0].log_prob(x_next.double()) - doubles[1].log_prob(x_next.double())
    size = exact.square().mean().sqrt()
    assert 1e-8 < size < 2e-6
    assert (step.log_ratio(old, x_next) - exact).abs().max() < 0.01 * size
    assert (step.log_prob(x_next) - old.log_prob(x_next) - exact).abs().max() > 0.1 * size


def test_log_ratios_are_of_two_steps_of_one_kernel() -> None:
    x, velocity, _ = draws()
    step = FlowSde().step(FLOW, x, velocity, 0.5, 0.4)
    for kernel, next_level in ((FlowSde(), 0.3), (Cps(), 0.4)):
        other = kernel.step(FLOW, x, velocity, 0.5, next_level)
        with pytest.raises(ValueError, match="accepted: two steps of one kernel between the same levels"):
            step.log_ratio(other, x)
    still = Ode().step(FLOW, x, velocity, 0.5, 0.4)
    with pytest.raises(ValueError, match="a step without noise has no density"):
        still.log_ratio(still, x)


def test_cps_scores_by_the_squared_error_alone() -> None:
    mean, x_next, _ = draws()
    expected = -(x_next - mean).square().mean((1, 2, 3))
    for std in (0.1, 3.0):
        found = CpsStep(mean, torch.full((1, 1, 1, 1), std, dtype=torch.float64)).log_prob(x_next)
        torch.testing.assert_close(found, expected)


def test_flow_sde_by_hand() -> None:
    """s = 1/2, s' = 1/4, eta = 1: g^2 = 1, mean = x (1 - 1/4) + v (1 + 1/2) (-1/4), std = 1/2."""
    x, velocity, _ = draws()
    step = FlowSde(eta=1.0).step(FLOW, x, velocity, 0.5, 0.25)
    torch.testing.assert_close(step.mean, 0.75 * x - 0.375 * velocity)
    assert step.std.item() == pytest.approx(0.5)


@settings(max_examples=25)
@given(eta=st.floats(0, 2), t=st.floats(0.02, 0.99), part=st.floats(0, 0.98))
def test_flow_sde_is_the_published_form(eta: float, t: float, part: float) -> None:
    x, v, _ = draws()
    dt, rate = t * part - t, eta * math.sqrt(t / (1 - t))
    step = FlowSde(eta).step(FLOW, x, v, t, t * part)
    mean = x * (1 + rate**2 / (2 * t) * dt) + v * (1 + rate**2 * (1 - t) / (2 * t)) * dt
    torch.testing.assert_close(step.mean, mean)
    assert step.std.item() == pytest.approx(rate * math.sqrt(-dt))


def test_flow_sde_at_pure_noise_takes_the_second_level_of_the_schedule() -> None:
    """g^2 = eta^2 / (1 - s') there, and -dt = 1 - s': the std is eta whatever the schedule."""
    x, v, _ = draws()
    for second in (0.9, 0.5, 0.0):
        step = FlowSde(0.7).step(FLOW, x, v, 1.0, second)
        assert step.std.item() == pytest.approx(0.7)
        torch.testing.assert_close(step.mean, x * (1 - 0.49 / 2) + v * (second - 1))


def test_flow_sde_just_below_pure_noise_is_that_of_pure_noise() -> None:
    """As the first level of SANA's schedule, .9997, where 1 / (1 - t) would be 3000."""
    x, v, _ = draws()
    nearly, whole = (FlowSde(0.7).step(FLOW, x, v, t, 0.96) for t in (0.99967, 1.0))
    assert nearly.std.item() == pytest.approx(whole.std.item(), rel=1e-2)
    torch.testing.assert_close(nearly.mean, whole.mean, atol=1e-2, rtol=1e-2)
    rate = 0.49 * 0.998 / 0.002
    assert FlowSde(0.7).step(FLOW, x, v, 0.998, 0.9).std.item() == pytest.approx(math.sqrt(rate * 0.098))


@settings(max_examples=25)
@given(eta=st.floats(0, 1), t=st.floats(0.01, 1), part=st.floats(0, 0.99))
def test_cps_is_the_published_form(eta: float, t: float, part: float) -> None:
    x, v, _ = draws()
    s = t * part
    std = s * math.sin(eta * math.pi / 2)
    mean = (1 - s) * (x - t * v) + math.sqrt(max(s**2 - std**2, 0)) * (x + (1 - t) * v)
    step = Cps(eta).step(FLOW, x, v, t, s)
    torch.testing.assert_close(step.mean, mean, atol=1e-7, rtol=1e-7)
    assert step.std.item() == pytest.approx(std)


def ddim_by_hand(
    process: ForwardProcess, x: Tensor, velocity: Tensor, t: float, t_next: float, eta: float, noise: Tensor
) -> Tensor:
    """Song et al. (2021), Eq. 12 and 16, in float64."""
    alpha, sigma, alpha_next, sigma_next = (
        f(torch.tensor(value, dtype=torch.float64)) for value in (t, t_next) for f in (process.alpha, process.sigma)
    )
    x, velocity, noise = x.double(), velocity.double(), noise.double()
    x_0, eps = alpha * x - sigma * velocity, sigma * x + alpha * velocity
    variance = eta**2 * (sigma_next / sigma).square() * (1 - (alpha / alpha_next).square())
    return alpha_next * x_0 + (sigma_next**2 - variance).clamp(min=0).sqrt() * eps + variance.sqrt() * noise


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("config", [{}, {"rescale_betas_zero_snr": True}], ids=["usual", "zero snr"])
def test_ddim_is_diffusers_ddim(eta: float, config: dict[str, Any]) -> None:
    scheduler = diffusers.DDIMScheduler(**DDIM_SETTINGS, **config, timestep_spacing="trailing")
    scheduler.set_timesteps(10)
    process = process_from_scheduler(scheduler)
    x, velocity, noise = draws(dtype=torch.float32)
    levels = [step / 10 for step in range(10, -1, -1)]
    for timestep, (level, next_level) in zip(scheduler.timesteps, pairwise(levels), strict=True):
        step = Ddim(eta).step(process, x, velocity, level, next_level)
        by_hand = ddim_by_hand(process, x, velocity, level, next_level, eta, noise).float()
        torch.testing.assert_close(step.sample(noise), by_hand, rtol=0, atol=1e-5)
        # Where there is no signal, diffusers has sigma'^2 - std^2, which is 0, as the root of a difference of two
        # equal numbers in float32: of either sign, by the processor.
        if float(process.alpha(level)) > 0:
            expected = scheduler.step(velocity, timestep, x, eta=eta, variance_noise=noise, return_dict=False)[0]
            torch.testing.assert_close(step.sample(noise), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kernel", [Ddim(1.0), Ddim(0.9999), Cps(0.9999)], ids=repr)
def test_what_little_is_kept_of_the_noise_is_right_in_float32(kernel: Kernel) -> None:
    """A first level with next to no signal, as Euler's and DPM++'s with zero terminal SNR."""
    process = process_from_scheduler(diffusers.EulerDiscreteScheduler(**STABLE_DIFFUSION, rescale_betas_zero_snr=True))
    assert 0 < float(process.alpha(1.0)) < 3e-4
    x, velocity, _ = draws(dtype=torch.float32)
    for t, t_next in ((1.0, 0.9), (1.0, 0.1), (0.999, 0.5)):
        step, exact = (
            kernel.step(process, a, b, t, t_next) for a, b in ((x, velocity), (x.double(), velocity.double()))
        )
        torch.testing.assert_close(step.mean.double(), exact.mean, rtol=0, atol=2e-6)
        torch.testing.assert_close(step.std.double(), exact.std, rtol=1e-6, atol=0)


def test_the_std_of_ddim_is_the_published_table_of_stable_diffusion() -> None:
    """Std of the steps from timestep 1, 501 and 951, 50 apart, that LPO's thresholds were made from (4 digits)."""
    process = PROCESSES["vp"]
    x, velocity, _ = draws()
    levels = process.noise_level_from_timestep(torch.tensor([1, 501, 951]))
    # The scheduler of Stable Diffusion ends at its first timestep, level 1 / T, not at 0.
    following = process.noise_level_from_timestep(torch.tensor([0, 451, 901]))
    found = Ddim(1.0).step(process, x, velocity, levels, following).std.flatten()
    expected = torch.tensor([0.0206, 0.4293, 0.6444], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=5.1e-5)


def test_the_ode_of_a_flow_is_diffusers_euler_step() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(4)
    x, velocity, noise = draws(dtype=torch.float32)
    for timestep, (t, t_next) in zip(scheduler.timesteps, pairwise(scheduler.sigmas), strict=True):
        step = Ode().step(FLOW, x, velocity, t, t_next)
        expected = scheduler.step(velocity, timestep, x).prev_sample
        torch.testing.assert_close(step.sample(noise), expected, rtol=1e-5, atol=1e-6)
        assert (step.std == 0).all()


@pytest.mark.parametrize(
    ("kernel", "name"),
    [(FlowSde(0.0), "flow"), *((kernel, name) for kernel in (Cps(0.0), Ddim(0.0)) for name in PROCESSES)],
    ids=repr,
)
def test_no_eta_is_the_ode(kernel: Kernel, name: str) -> None:
    process = PROCESSES[name]
    x, velocity, _ = draws()
    for t, t_next in [(1.0, 0.8), (0.6, 0.55), (0.1, 0.0)]:
        step, ode = (k.step(process, x, velocity, t, t_next) for k in (kernel, Ode()))
        torch.testing.assert_close(step.mean, ode.mean)
        assert (step.std == 0).all()
        with pytest.raises(ValueError, match="a step without noise has no density; accepted: steps with std > 0"):
            step.log_prob(x)


@process_cases
@pytest.mark.parametrize("kernel", [Ode(), Cps(0.8), Ddim(0.5), Ddim(1.0)], ids=repr)
def test_a_true_prediction_keeps_the_coefficients_of_the_schedule(kernel: Kernel, process: ForwardProcess) -> None:
    """x = alpha x_0 + sigma eps becomes alpha' x_0 + kept eps + std z with kept^2 + std^2 = sigma'^2."""
    one, zero = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    for t, t_next in pairwise([1.0, 0.7, 0.5, 0.05, 0.0]):
        data, kept = (
            kernel.step(process, process.add_noise(x_0, eps, t), process.velocity(x_0, eps, t), t, t_next)
            for x_0, eps in ((one, zero), (zero, one))
        )
        assert data.mean.item() == pytest.approx(process.alpha(t_next).item(), abs=1e-6)
        noise = kept.mean.square() + kept.std.square()
        assert noise.item() == pytest.approx(process.sigma(t_next).item() ** 2, abs=1e-6)


def test_ddim_with_all_noise_is_the_posterior_of_the_data() -> None:
    """q(x' | x, x_0) by Bayes: precisions 1 / sigma'^2 and a^2 / v add, where x = a x' + sqrt(v) z."""
    x_0, noise, _ = draws()
    for process in PROCESSES.values():
        for t, t_next in [(0.9, 0.7), (0.5, 0.2), (0.3, 0.29)]:
            alpha, sigma, alpha_next, sigma_next = (
                f(torch.tensor(value, dtype=torch.float64)).item()
                for value in (t, t_next)
                for f in (process.alpha, process.sigma)
            )
            a = alpha / alpha_next
            v = sigma**2 - a**2 * sigma_next**2
            variance = 1 / (1 / sigma_next**2 + a**2 / v)
            x = process.add_noise(x_0, noise, t)
            step = Ddim(1.0).step(process, x, process.velocity(x_0, noise, t), t, t_next)
            assert step.std.item() == pytest.approx(math.sqrt(variance), rel=1e-5)
            mean = variance * (alpha_next * x_0 / sigma_next**2 + a * x / v)
            torch.testing.assert_close(step.mean, mean, rtol=1e-5, atol=1e-5)


def gaussian_velocity(process: ForwardProcess, x: Tensor, t: Tensor, mean: float, std: float) -> Tensor:
    """The exact velocity of data N(mean, std^2): E[x_0 | x] = mean + alpha std^2 (x - alpha mean) / V, and so on."""
    alpha, sigma = process.alpha(t).reshape(-1, 1, 1, 1), process.sigma(t).reshape(-1, 1, 1, 1)
    centred = (x - alpha * mean) / (alpha**2 * std**2 + sigma**2)
    return process.velocity(mean + alpha * std**2 * centred, sigma * centred, t)


def marginals(kernel: Kernel, process: ForwardProcess, levels: Tensor, mean: float, std: float) -> tuple[Tensor, ...]:
    """Mean and variance of the state at every level but the first, exactly: steps are affine in x.

    All steps are one batch, at x = 0 and at x = 1, which gives intercept and slope of each.
    """
    t, t_next = levels[:-1], levels[1:]
    at_zero, at_one = (
        kernel.step(process, x, gaussian_velocity(process, x, t, mean, std), t, t_next)
        for x in (torch.full((len(t), 1, 1, 1), value, dtype=torch.float64) for value in (0.0, 1.0))
    )
    intercepts, slopes = at_zero.mean.flatten(), (at_one.mean - at_zero.mean).flatten()
    alpha, sigma = process.alpha(levels[0]).item(), process.sigma(levels[0]).item()
    state = alpha * mean, alpha**2 * std**2 + sigma**2
    found = []
    columns = (intercepts.tolist(), slopes.tolist(), at_zero.std.flatten().tolist())
    for intercept, slope, added in zip(*columns, strict=True):
        state = intercept + slope * state[0], slope**2 * state[1] + added**2
        found.append(state)
    return torch.tensor(found, dtype=torch.float64).unbind(1)


@pytest.mark.parametrize(
    ("kernel", "name"),
    [(FlowSde(0.7), "flow"), (FlowSde(1.0), "flow"), (Ddim(1.0), "flow"), (Ddim(1.0), "vp"), (Ddim(0.5), "vp")],
    ids=repr,
)
def test_stochastic_marginals_are_those_of_the_ode(kernel: Kernel, name: str) -> None:
    """For data N(0.7, 0.5^2) at 4000 steps: means equal, variances within 1 % at level 0 and 1.5 % below level 0.9.

    More steps come closer. Above level 0.9 they do not: g^2 of Flow-GRPO has a pole at 1, so that its first steps
    are coarse however many there are, and the state forgets them later.
    """
    process, mean, std = PROCESSES[name], 0.7, 0.5
    worst = []
    for steps in (500, 4000):
        levels = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        means, variances = marginals(kernel, process, levels, mean, std)
        ode_means, ode_variances = marginals(Ode(), process, levels, mean, std)
        torch.testing.assert_close(means, ode_means)
        errors = (variances / ode_variances - 1).abs()
        worst.append(errors[levels[1:] < 0.9].max().item())
    truth = process.alpha(levels[1:]).square() * std**2 + process.sigma(levels[1:]).square()
    torch.testing.assert_close(ode_variances, truth, rtol=0.005, atol=0)
    assert errors[-1] < 0.01
    assert worst[1] < 0.015
    assert worst[1] < worst[0] / 1.5


def test_drawn_samples_have_the_marginals_too() -> None:
    """10,000 chains of 50 steps by `sample`: the mean within 0.02, the variance within 8 % of the data's."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(10_000, 1, 1, 1, generator=generator)
    for t, t_next in pairwise(torch.linspace(1, 0, 51)):
        velocity = gaussian_velocity(FLOW, x, t, 0.7, 0.5)
        x = FlowSde(0.7).step(FLOW, x, velocity, t, t_next).sample(torch.randn(x.shape, generator=generator))
    assert x.mean().item() == pytest.approx(0.7, abs=0.02)
    assert x.var().item() == pytest.approx(0.25, rel=0.08)


@kernel_cases
def test_a_level_for_each_is_a_step_of_each(kernel: Kernel) -> None:
    x, velocity, _ = draws()
    levels, following = torch.tensor([1.0, 0.6, 0.3]), torch.tensor([0.8, 0.5, 0.1])
    together = kernel.step(FLOW, x, velocity, levels, following)
    for row in range(3):
        alone = kernel.step(FLOW, x[row : row + 1], velocity[row : row + 1], levels[row], following[row])
        torch.testing.assert_close(together.mean[row : row + 1], alone.mean)
        torch.testing.assert_close(together.std[row : row + 1], alone.std)


@kernel_cases
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(kernel: Kernel, dtype: torch.dtype) -> None:
    x, velocity, noise = (value.to(dtype) for value in draws(dtype=torch.float32))
    step = kernel.step(FLOW, x, velocity, torch.tensor(0.5), torch.tensor(0.4))
    exact = kernel.step(FLOW, x.float(), velocity.float(), 0.5, 0.4)
    assert step.sample(noise).dtype == torch.float32
    assert torch.equal(step.mean, exact.mean)
    assert torch.equal(step.std, exact.std)


@stochastic_cases
def test_equal_velocities_give_equal_densities_to_the_bit(kernel: Kernel) -> None:
    x, velocity, noise = draws(dtype=torch.float32)
    x_next = kernel.step(FLOW, x, velocity, 0.5, 0.4).sample(noise)
    first, second = (kernel.step(FLOW, x, velocity, 0.5, 0.4).log_prob(x_next) for _ in range(2))
    assert torch.equal(first, second)


@stochastic_cases
def test_only_the_mean_depends_on_the_velocity(kernel: Kernel) -> None:
    x, velocity, noise = draws()
    velocity.requires_grad_()
    step = kernel.step(FLOW, x, velocity, 0.5, 0.4)
    assert step.mean.requires_grad
    assert not step.std.requires_grad
    step.log_prob(step.sample(noise).detach()).sum().backward()
    assert velocity.grad is not None
    assert velocity.grad.abs().sum() > 0


@kernel_cases
def test_the_last_step_is_defined(kernel: Kernel) -> None:
    """Only Flow-GRPO's formula leaves noise in a clean latent."""
    x, velocity, _ = draws()
    step = kernel.step(FLOW, x, velocity, 0.2, 0.0)
    assert step.mean.isfinite().all()
    if isinstance(kernel, FlowSde):
        assert step.std.item() == pytest.approx(0.7 * 0.2 / math.sqrt(0.8))
        return
    assert (step.std == 0).all()
    torch.testing.assert_close(step.mean, FLOW.clean_from_velocity(x, velocity, 0.2))


def test_names_are_those_of_the_table() -> None:
    assert KERNELS == {"flow-sde": FlowSde, "cps": Cps, "ddim": Ddim, "ode": Ode}
    assert KERNELS["flow-sde"]() == FlowSde(eta=0.7)


@kernel_cases
@pytest.mark.parametrize(("level", "next_level"), [(0.5, 0.5), (0.3, 0.4), (1.1, 0.5), (0.5, -0.1), (math.nan, 0.1)])
def test_levels_that_do_not_fall_are_refused(kernel: Kernel, level: float, next_level: float) -> None:
    x, velocity, _ = draws()
    with pytest.raises(ValueError, match=r"from level .* accepted: 0 <= next_level < level <= 1"):
        kernel.step(FLOW, x, velocity, level, next_level)


def test_a_density_of_flow_grpo_needs_rectified_flow() -> None:
    x, velocity, _ = draws()
    process = VariancePreserving(torch.linspace(0.99, 0.01, 10))
    with pytest.raises(ValueError, match=r"FlowSde: the process is VariancePreserving\(.*accepted: RectifiedFlow"):
        FlowSde().step(process, x, velocity, 0.5, 0.4)


def test_one_step_without_noise_in_a_batch_has_no_density() -> None:
    x, velocity, _ = draws()
    step = Ddim().step(FLOW, x, velocity, torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.4, 0.3, 0.0]))
    with pytest.raises(ValueError, match=r"log_prob: std is \[.*0\.0\], and a step without noise has no density"):
        step.log_prob(x)


@pytest.mark.parametrize("kernel", [FlowSde, Cps, Ddim])
@pytest.mark.parametrize("eta", [-0.1, math.nan, math.inf])
def test_an_eta_out_of_range_is_refused(kernel: type, eta: float) -> None:
    with pytest.raises(ValueError, match=f"{kernel.__name__}: eta is {eta}; accepted: a"):
        kernel(eta=eta)
