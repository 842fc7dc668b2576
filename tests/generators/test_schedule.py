"""Noise levels of sampling are those of the pipeline's own scheduler, one for each step, whatever its order."""

import inspect

import diffusers
import pytest
import torch

from dina_lrm.diffusion.from_scheduler import process_from_scheduler
from dina_lrm.diffusion.process import RectifiedFlow
from dina_lrm.generators.schedule import sampling_levels

# of diffusers's own numpy code
pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
SD15 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
VARIANCE_PRESERVING = {
    "DDIMScheduler": {"set_alpha_to_one": False},
    "PNDMScheduler": {"skip_prk_steps": True, "set_alpha_to_one": False},
    "DPMSolverMultistepScheduler": {},
    "EulerDiscreteScheduler": {},
    "HeunDiscreteScheduler": {},
    "KDPM2DiscreteScheduler": {},
}
FLOW_PROCESS = RectifiedFlow(1000)
FOLLOWED = (
    *("DDIMScheduler", "DDIMParallelScheduler", "DDPMScheduler", "DDPMParallelScheduler", "PNDMScheduler"),
    *("DEISMultistepScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "SASolverScheduler"),
    *("UniPCMultistepScheduler", "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler"),
    *("KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "LMSDiscreteScheduler"),
    *("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "DPMSolverSDEScheduler"),
)
FLOW = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")


def levels_of(scheduler, steps):
    flow = type(scheduler).__name__ in FLOW
    process = RectifiedFlow(1000) if flow else process_from_scheduler(diffusers.DDIMScheduler(**SD15))
    return sampling_levels(scheduler, process, steps, tokens=64)


@pytest.mark.parametrize("steps", [1, 2, 7, 20, 50])
@pytest.mark.parametrize("name", [*VARIANCE_PRESERVING, *FLOW])
def test_each_step_has_one_level_and_they_fall(name, steps):
    more = {} if name in FLOW else SD15 | VARIANCE_PRESERVING[name]
    kind = getattr(diffusers, name)
    if "steps_offset" not in kind().config:
        more = {key: value for key, value in more.items() if key != "steps_offset"}
    levels = levels_of(kind(**more), steps)
    assert len(levels) == steps + 1 and (levels.diff() < 0).all()
    assert levels[0] > 0.9 or steps < 20
    assert 0 <= levels[-1] < 0.05


def test_those_of_stable_diffusions_pndm_are_those_of_its_multistep_method():
    pndm = diffusers.PNDMScheduler(**SD15, skip_prk_steps=True, set_alpha_to_one=False)
    ddim = diffusers.DDIMScheduler(**SD15, set_alpha_to_one=False)
    pndm.set_timesteps(20)
    assert len(pndm.timesteps) == 21 and len(set(pndm.timesteps.tolist())) == 20
    assert torch.equal(levels_of(pndm, 20), levels_of(ddim, 20))
    runge_kutta = diffusers.PNDMScheduler(**SD15, set_alpha_to_one=False)
    assert len(levels_of(runge_kutta, 20)) == 21


def vp_scheduler(name, **settings):
    """One of Stable Diffusion's, with what its class takes of the settings."""
    kind = getattr(diffusers, name)
    taken = inspect.signature(kind.__init__).parameters
    given = {"clip_sample": False, **SD15, **settings}
    return kind(**{key: value for key, value in given.items() if key in taken})


@pytest.mark.parametrize("steps", [5, 50, 100])
@pytest.mark.parametrize(
    "spacing", ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas"]
)
@pytest.mark.parametrize(
    "name",
    ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler", "EulerDiscreteScheduler"],
)
def test_levels_between_two_timesteps_are_those_of_the_state(name, spacing, steps):
    """sigma / alpha at each level is what the scheduler has, also where it rounds two to one timestep."""
    kind = getattr(diffusers, name)
    if spacing not in inspect.signature(kind.__init__).parameters:
        pytest.skip(f"{name} has no {spacing}")
    scheduler = vp_scheduler(name, **{spacing: True})
    process = process_from_scheduler(scheduler)
    levels = sampling_levels(scheduler, process, steps, 64)
    assert len(levels) == steps + 1 and (levels.diff() < 0).all()
    scheduler.set_timesteps(steps)
    starts = levels[:-1].double()
    torch.testing.assert_close(
        process.sigma(starts) / process.alpha(starts), scheduler.sigmas[:-1].double(), rtol=2e-3, atol=1e-4
    )


def test_a_last_step_that_leads_nowhere_leads_to_clean_latents():
    scheduler = vp_scheduler("DEISMultistepScheduler", use_karras_sigmas=True)
    scheduler.set_timesteps(5)
    assert scheduler.sigmas[-1] == pytest.approx(scheduler.sigmas[-2].item())
    levels = sampling_levels(scheduler, process_from_scheduler(scheduler), 5, 64)
    assert levels[-2].item() == pytest.approx(1e-3) and levels[-1] == 0


def test_runge_kutta_steps_of_pndm_lie_on_the_grid_of_its_others():
    with_them, without = (vp_scheduler("PNDMScheduler", skip_prk_steps=skip) for skip in (False, True))
    assert torch.equal(levels_of(with_them, 20), levels_of(without, 20))


def every_scheduler():
    names = [name for name in dir(diffusers) if name.endswith("Scheduler") and not name.startswith("Karras")]
    return [name for name in names if "register_to_config" in dir(getattr(diffusers, name))]


@pytest.mark.parametrize("name", every_scheduler())
def test_every_scheduler_of_diffusers_is_followed_or_refused_by_name(name):
    kind = getattr(diffusers, name)
    try:
        scheduler = vp_scheduler(name)
        process = process_from_scheduler(scheduler)
    except (ImportError, TypeError, ValueError):
        pytest.skip(f"{name} cannot be made, or is of no process of ours")
    if name not in FOLLOWED:
        with pytest.raises(ValueError, match=rf"got a {name}.*accepted: .*DDIMScheduler"):
            sampling_levels(scheduler, process, 4, 64)
        return
    levels = sampling_levels(scheduler, process, 4, 64)
    assert len(levels) == 5 and (levels.diff() < 0).all()
    derived = type("Own", (kind,), {}).from_config(scheduler.config)
    assert torch.equal(sampling_levels(derived, process, 4, 64), levels)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        (
            "EulerDiscreteScheduler",
            {"timestep_type": "continuous", "prediction_type": "v_prediction"},
            "tells the model",
        ),
        ("EulerDiscreteScheduler", {"interpolation_type": "log_linear"}, "takes its state to 9 noise levels"),
        ("DDIMScheduler", {"timestep_spacing": "linspace"}, "accepted: 'leading' and 'trailing'"),
        (
            "PNDMScheduler",
            {"timestep_spacing": "linspace", "skip_prk_steps": True},
            "accepted: 'leading' and 'trailing'",
        ),
        ("DDIMScheduler", {"num_train_timesteps": 5}, "refuses 7 steps"),
    ],
)
def test_settings_that_cannot_be_followed_are_refused_by_name(name, settings, told):
    scheduler = vp_scheduler(name, **settings)
    with pytest.raises(ValueError, match=f"{name}.*{told}"):
        sampling_levels(scheduler, process_from_scheduler(scheduler), 7, 64)


FLOW_SOLVER = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}


def test_solvers_of_a_flow():
    for kind in (diffusers.UniPCMultistepScheduler, diffusers.DPMSolverMultistepScheduler):
        for more in ({"flow_shift": 3.0}, {"use_dynamic_shifting": True}):
            levels = sampling_levels(kind(**FLOW_SOLVER, **more), FLOW_PROCESS, 6, 64)
            assert len(levels) == 7 and (levels.diff() < 0).all() and levels[-1] == 0
        # Levels of another process: the scheduler's own samples are not finite
        mixed = kind(**FLOW_SOLVER, use_exponential_sigmas=True)
        with pytest.raises(ValueError, match=r"sigmas from 157\.407 to 0 are no levels of RectifiedFlow"):
            sampling_levels(mixed, FLOW_PROCESS, 6, 64)
        ends_noisy = diffusers.UniPCMultistepScheduler(**FLOW_SOLVER, final_sigmas_type="sigma_min")
    with pytest.raises(ValueError, match=r"accepted: 7 that fall: .*final_sigmas_type='zero'"):
        sampling_levels(ends_noisy, FLOW_PROCESS, 6, 64)


def test_a_shift_by_size_is_asked_for_where_the_pipeline_does():
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, max_shift=2.0)
    small, large = (sampling_levels(scheduler, FLOW_PROCESS, 4, tokens) for tokens in (256, 4096))
    assert (large[1:-1] > small[1:-1]).all()
    with pytest.raises(ValueError, match="FlowMatchEulerDiscreteScheduler refuses 4 steps: `mu` must be passed"):
        sampling_levels(scheduler, FLOW_PROCESS, 4, 256, largest_shift=None)
