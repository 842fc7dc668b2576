"""Noise levels of sampling are those of the pipeline's own scheduler, one for each step, whatever its order."""

import diffusers
import pytest
import torch

from dina_lrm.alignment.schedule import sampling_levels
from dina_lrm.diffusion.from_scheduler import process_from_scheduler
from dina_lrm.diffusion.process import RectifiedFlow

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
