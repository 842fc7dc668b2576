"""The forward process that a diffusers scheduler stands for, read from its config.

Schedulers of one family differ in how they sample; the process they sample from is the model's. This module knows the
names diffusers gives it, and nothing of diffusers itself.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from dina_lrm.diffusion.process import ForwardProcess, RectifiedFlow, VariancePreserving
from dina_lrm.typed import DinaError


@runtime_checkable
class Scheduler(Protocol):
    """What is read of a diffusers scheduler."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The arguments it was made with."""


def process_from_scheduler(scheduler: Scheduler) -> ForwardProcess:
    """`RectifiedFlow` for flow-matching schedulers, `VariancePreserving` for those with a schedule of betas.

    A solver that serves both (DPMSolverMultistep, UniPC, ...) is flow matching when its config says `use_flow_sigmas`
    or `prediction_type="flow_prediction"`. Shifts and spacings change which noise levels a sampler visits, not the
    process, and are not part of it.

    Raises:
        ValueError: for schedulers of other processes (variance exploding, EDM, inverted time).
    """
    config = scheduler.config
    if config.get("invert_sigmas"):
        raise DinaError(f"{_name(scheduler)} has invert_sigmas=True, where time runs from noise to data; {_ACCEPTED}")
    alphas_cumprod = vars(scheduler).get("alphas_cumprod")
    flow = config.get("use_flow_sigmas") or config.get("prediction_type") == "flow_prediction"
    if flow or (alphas_cumprod is None and "shift" in config):
        return RectifiedFlow(config.get("num_train_timesteps", 1000))
    if isinstance(alphas_cumprod, Tensor):
        if config.get("rescale_betas_zero_snr"):
            # Solvers put 2^-24 in the place of 0, which can be more than the value before
            alphas_cumprod = alphas_cumprod.cummin(dim=0).values
        return VariancePreserving(alphas_cumprod)
    raise DinaError(f"{_name(scheduler)} has neither a flow-matching config nor alphas_cumprod; {_ACCEPTED}")


_ACCEPTED = (
    "accepted: flow-matching schedulers (FlowMatchEulerDiscreteScheduler, or a solver with use_flow_sigmas) and "
    "variance-preserving ones (DDPM, DDIM, EulerDiscrete, DPMSolverMultistep, ...)"
)


def _name(scheduler: Scheduler) -> str:
    return f"process_from_scheduler: {type(scheduler).__name__}"
