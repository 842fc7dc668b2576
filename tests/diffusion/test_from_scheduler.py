"""Against the schedulers of diffusers themselves: the same noisy states at every one of their timesteps."""

from typing import Any

import diffusers
import pytest
import torch

from dina_lrm.diffusion import RectifiedFlow, VariancePreserving, process_from_scheduler

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # numpy 2 in diffusers

STABLE_DIFFUSION = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
TIMESTEPS = torch.tensor([0, 1, 250, 751, 999])


def draws() -> tuple[torch.Tensor, torch.Tensor]:
    x_0, noise = torch.randn(2, len(TIMESTEPS), 4, 2, 2, generator=torch.Generator().manual_seed(0))
    return x_0, noise


SCHEDULES = {
    "scaled_linear": STABLE_DIFFUSION,
    "squaredcos": {"beta_schedule": "squaredcos_cap_v2"},
    "zero_terminal_snr": {**STABLE_DIFFUSION, "rescale_betas_zero_snr": True},
}
schedule_cases = pytest.mark.parametrize("config", SCHEDULES.values(), ids=SCHEDULES.keys())


@schedule_cases
@pytest.mark.parametrize("name", ["DDPMScheduler", "DDIMScheduler"])
def test_variance_preserving_states_are_the_schedulers_own(name: str, config: dict[str, Any]) -> None:
    scheduler = getattr(diffusers, name)(**config)
    process = process_from_scheduler(scheduler)
    x_0, noise = draws()
    found = process.add_noise(x_0, noise, process.noise_level_from_timestep(TIMESTEPS))
    torch.testing.assert_close(found, scheduler.add_noise(x_0, noise, TIMESTEPS), rtol=1e-5, atol=1e-6)


@schedule_cases
@pytest.mark.parametrize("name", ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler"])
def test_states_of_multistep_solvers_are_the_schedulers_own(name: str, config: dict[str, Any]) -> None:
    """These solvers look noise up in the steps that they were set to."""
    scheduler = getattr(diffusers, name)(**config)
    process = process_from_scheduler(scheduler)
    scheduler.set_timesteps(len(TIMESTEPS))
    x_0, noise = draws()
    found = process.add_noise(x_0, noise, process.noise_level_from_timestep(scheduler.timesteps))
    torch.testing.assert_close(found, scheduler.add_noise(x_0, noise, scheduler.timesteps), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"])
def test_euler_states_are_ours_in_other_units(name: str) -> None:
    """Euler keeps x_0 + (sigma / alpha) eps, which is multiplied by alpha to become the model's input."""
    scheduler = getattr(diffusers, name)(**STABLE_DIFFUSION)
    process = process_from_scheduler(scheduler)
    x_0, noise = draws()
    levels = process.noise_level_from_timestep(TIMESTEPS)
    exploding = scheduler.add_noise(x_0, noise, TIMESTEPS.float())
    found = process.add_noise(x_0, noise, levels) / process.alpha(levels)[:, None, None, None]
    torch.testing.assert_close(found, exploding, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["DDPMScheduler", "DDIMScheduler"])
def test_velocity_is_the_schedulers_own(name: str) -> None:
    scheduler = getattr(diffusers, name)(**STABLE_DIFFUSION)
    process = process_from_scheduler(scheduler)
    x_0, noise = draws()
    found = process.velocity(x_0, noise, process.noise_level_from_timestep(TIMESTEPS))
    torch.testing.assert_close(found, scheduler.get_velocity(x_0, noise, TIMESTEPS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_states_are_the_schedulers_own(shift: float) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    process = process_from_scheduler(scheduler)
    assert isinstance(process, RectifiedFlow)
    x_0, noise = draws()
    timesteps = scheduler.timesteps[TIMESTEPS]
    found = process.add_noise(x_0, noise, process.noise_level_from_timestep(timesteps))
    torch.testing.assert_close(found, scheduler.scale_noise(x_0, timesteps, noise), rtol=1e-5, atol=1e-6)


def test_an_euler_step_of_the_flow_scheduler_stays_on_the_path() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(4)
    process = process_from_scheduler(scheduler)
    x_0, noise = draws()
    levels = process.noise_level_from_timestep(scheduler.timesteps)
    x_t = process.add_noise(x_0, noise, levels[1])
    step = scheduler.step(process.velocity(x_0, noise, levels[1]), scheduler.timesteps[1], x_t).prev_sample
    torch.testing.assert_close(step, process.add_noise(x_0, noise, levels[2]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "scheduler",
    [
        diffusers.FlowMatchHeunDiscreteScheduler(),
        diffusers.DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0),
        diffusers.UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction"),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_flow_matching_is_recognised_by_the_config(scheduler: diffusers.SchedulerMixin) -> None:
    assert isinstance(process_from_scheduler(scheduler), RectifiedFlow)


@pytest.mark.parametrize("name", ["DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"])
def test_sampling_settings_do_not_change_the_process(name: str) -> None:
    fresh, used = (getattr(diffusers, name)(**STABLE_DIFFUSION) for _ in range(2))
    used.set_timesteps(7)
    levels = torch.linspace(0, 1, 11)
    assert torch.equal(process_from_scheduler(fresh).alpha(levels), process_from_scheduler(used).alpha(levels))


def test_the_number_of_timesteps_is_the_models() -> None:
    assert process_from_scheduler(diffusers.DDPMScheduler(num_train_timesteps=40)).num_train_timesteps == 40
    flow = process_from_scheduler(diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=40))
    assert flow.timestep_from_noise_level(0.5).item() == 20


def test_a_terminal_snr_of_zero_ends_in_pure_noise() -> None:
    process = process_from_scheduler(diffusers.DDIMScheduler(rescale_betas_zero_snr=True))
    assert isinstance(process, VariancePreserving)
    assert (process.alpha(1.0).item(), process.sigma(1.0).item()) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("scheduler", "reason"),
    [
        (diffusers.EDMEulerScheduler(), "EDMEulerScheduler has neither a flow-matching config nor alphas_cumprod"),
        (diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True), "time runs from noise to data"),
    ],
    ids=["edm", "inverted"],
)
def test_other_processes_are_refused(scheduler: diffusers.SchedulerMixin, reason: str) -> None:
    with pytest.raises(ValueError, match=f"{reason}.* accepted: flow-matching schedulers"):
        process_from_scheduler(scheduler)


@pytest.mark.parametrize("name", ["EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler"])
def test_what_stands_for_no_signal_is_never_more_than_the_signal_before(name: str) -> None:
    """Their own betas leave less than the 2^-24 that solvers put in the place of zero."""
    scheduler = getattr(diffusers, name)(rescale_betas_zero_snr=True)
    assert scheduler.alphas_cumprod[-1] > scheduler.alphas_cumprod[-2]
    process = process_from_scheduler(scheduler)
    levels = torch.tensor([0.5, 0.999, 1.0], dtype=torch.float64)
    expected = scheduler.alphas_cumprod[[499, 998, 998]].double().sqrt()
    torch.testing.assert_close(process.alpha(levels), expected)
