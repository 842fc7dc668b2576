"""Schedulers of first order: our samples are the pipeline's own. All others: at each call of the model, its state."""

import inspect
from typing import Any

import diffusers
import pytest
import torch
from diffusers import UNet2DConditionModel

from dina_lrm.backbones.parts import stored_scheduler
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.sampler_states import state_behind
from tests.tiny_unets import NOISE, tiny_sd_pipeline

# of diffusers's own numpy code, and of what it says of its own defaults
pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")
PROMPT, STEPS = "a red cube", 5
FIRST_ORDER: dict[str, dict[str, Any]] = {
    "DDIMScheduler": {},
    "DDIMParallelScheduler": {},
    "EulerDiscreteScheduler": {},
    "DEISMultistepScheduler": {"solver_order": 1},
    "DPMSolverMultistepScheduler": {"solver_order": 1},
    "DPMSolverSinglestepScheduler": {"solver_order": 1},
    "UniPCMultistepScheduler": {"solver_order": 1, "disable_corrector": list(range(STEPS))},
}
VARIANTS: tuple[dict[str, Any], ...] = (
    {"timestep_spacing": "leading"},
    {"timestep_spacing": "trailing"},
    {"timestep_spacing": "linspace"},
    {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
    {"set_alpha_to_one": False},
    {"final_sigmas_type": "sigma_min", "timestep_spacing": "trailing"},
    {"use_karras_sigmas": True},
    {"prediction_type": "v_prediction"},
)


def scheduler_of(name: str, **settings: Any) -> Any:
    kind = getattr(diffusers, name)
    taken = inspect.signature(kind.__init__).parameters
    given = {**NOISE, "clip_sample": False, "steps_offset": 1, **settings}
    return kind(**{key: value for key, value in given.items() if key in taken})


def cases() -> list[Any]:
    found = []
    for name, own in FIRST_ORDER.items():
        taken = inspect.signature(getattr(diffusers, name).__init__).parameters
        for variant in VARIANTS:
            # DDIM's steps of "linspace" do not lead to its timesteps, and are refused
            beside = name.startswith("DDIM") and variant.get("timestep_spacing") == "linspace"
            # DEIS leaves the noise of the first timestep where its last step leads nowhere
            nowhere = name.startswith("DEIS") and "use_karras_sigmas" in variant
            if set(variant) <= set(taken) and not beside and not nowhere:
                found.append(pytest.param(name, {**own, **variant}, id=f"{name}-{variant}"))
    return found


@pytest.mark.parametrize(("name", "settings"), cases())
def test_samples_of_first_order_schedulers_are_the_pipelines_own(name, settings):
    pipeline = tiny_sd_pipeline()
    pipeline.scheduler = scheduler_of(name, **settings)
    generator = Generator(pipeline, 32, 1, 1.0, guidance=1.0)
    noise = generator.noise([3])
    found = generator.denoise(noise, generator.encode_prompts([PROMPT]), generator.levels(STEPS))
    own = tiny_sd_pipeline()
    own.scheduler = scheduler_of(name, **settings)
    wanted = own(
        PROMPT, latents=noise, num_inference_steps=STEPS, guidance_scale=1.0, height=32, width=32, output_type="latent"
    ).images
    # Solvers round the timestep that they tell the model, which is told the state's own here
    rounded = "use_karras_sigmas" in settings and not name.startswith("Euler")
    torch.testing.assert_close(found, wanted, atol=2e-3 if rounded else 2e-4, rtol=1e-3)


class Watched:
    """A pipeline's callback beside what its U-Net was called with: state and timestep of each call."""

    def __init__(self, pipeline: Any, generator: Generator) -> None:
        self.behind: list[tuple[torch.Tensor, float]] = []
        self.calls: list[tuple[torch.Tensor, float]] = []
        self._process = generator.process
        pipeline.unet.register_forward_pre_hook(self._call, with_kwargs=True)

    def _call(self, module: Any, args: Any, kwargs: Any) -> None:
        self.calls.append((args[0], float(args[1])))

    def __call__(self, pipeline: Any, step: int, timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        state, level = state_behind(pipeline.scheduler, self._process, kwargs["latents"], step, timestep)
        self.behind.append((state.clone(), level))
        return kwargs


HIGHER: dict[str, dict[str, Any]] = {
    "PNDMScheduler": {"skip_prk_steps": True},
    "PNDMScheduler with Runge-Kutta": {},
    "HeunDiscreteScheduler": {"use_karras_sigmas": True},
    "KDPM2DiscreteScheduler": {},
    "KDPM2AncestralDiscreteScheduler": {},
    "LMSDiscreteScheduler": {},
    "EulerAncestralDiscreteScheduler": {},
    "DPMSolverMultistepScheduler": {"use_karras_sigmas": True},
    "DPMSolverSinglestepScheduler": {},
    "DEISMultistepScheduler": {"use_exponential_sigmas": True},
    "UniPCMultistepScheduler": {"use_karras_sigmas": True},
    "SASolverScheduler": {},
    "DDPMScheduler": {"timestep_spacing": "linspace"},
    "LCMScheduler": {},
}


@pytest.mark.parametrize("name", HIGHER)
def test_the_state_behind_a_step_is_what_the_model_reads_next(name):
    pipeline = tiny_sd_pipeline()
    generator = Generator(tiny_sd_pipeline(), 32, 1, 1.0)
    pipeline.scheduler = scheduler_of(name.partition(" ")[0], **HIGHER[name])
    watched = Watched(pipeline, generator)
    # 40: the timesteps of Karras levels repeat
    pipeline(
        PROMPT, num_inference_steps=40, guidance_scale=1.0, height=32, width=32, output_type="latent",
        generator=torch.Generator().manual_seed(0), callback_on_step_end=watched,
    )  # fmt: skip
    assert len(watched.behind) == len(watched.calls) >= 40
    for (state, level), (read, timestep) in zip(watched.behind[:-1], watched.calls[1:], strict=True):
        torch.testing.assert_close(state, read, rtol=1e-5, atol=1e-5)
        # A level is the state's own; the model is told it as a whole timestep by some
        assert abs(1000 * level - 1 - timestep) <= 1.01
    assert watched.behind[-1][1] <= 1.001e-3


def test_steps_that_are_not_of_one_call_are_refused():
    scheduler = scheduler_of("PNDMScheduler", skip_prk_steps=True)
    scheduler.set_timesteps(4)
    generator = Generator(tiny_sd_pipeline(), 32, 1, 1.0)
    with pytest.raises(ValueError, match="visits timestep 501 2 times, never as call 7"):
        state_behind(scheduler, generator.process, torch.zeros(1, 4, 8, 8), 7, scheduler.timesteps[1])
    with pytest.raises(ValueError, match="scheduler: got a EDMEulerScheduler; accepted: DDIM"):
        edm = diffusers.EDMEulerScheduler()
        edm.set_timesteps(4)
        state_behind(edm, generator.process, torch.zeros(1, 4, 8, 8), 0, edm.timesteps[0])


def test_noise_prediction_from_nothing_but_noise_is_refused():
    pipeline = tiny_sd_pipeline()
    pipeline.scheduler = scheduler_of("DDIMScheduler", rescale_betas_zero_snr=True, timestep_spacing="trailing")
    with pytest.raises(ValueError, match="accepted: prediction_type='v_prediction', or timesteps that start below"):
        Generator(pipeline, 32, 1, 1.0).levels(4)


@pytest.mark.parametrize("setting", ["clip_sample", "thresholding"])
def test_latents_are_not_clipped_as_pixels_are(setting):
    pipeline = tiny_sd_pipeline()
    pipeline.scheduler = scheduler_of("DDIMScheduler", **{setting: True})
    with pytest.raises(ValueError, match=f"DDIMScheduler has {setting}=True, which clips .* accepted: {setting}=False"):
        Generator(pipeline, 32, 1, 1.0).levels(4)


def distilled_with_guidance(width: int = 8) -> Any:
    """A U-Net with an embedding of its guidance, as LCM's, whose weights are not zero."""
    pipeline = tiny_sd_pipeline()
    config = {**pipeline.unet.config, "time_cond_proj_dim": width}
    config.pop("_use_default_values", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel.from_config(config)
    unet.load_state_dict(pipeline.unet.state_dict(), strict=False)
    pipeline.register_modules(unet=unet.eval().requires_grad_(False))
    pipeline.scheduler = scheduler_of("DDIMScheduler", timestep_spacing="trailing")
    return pipeline


@pytest.mark.parametrize("guidance", [0.0, 1.0, 8.0])
@pytest.mark.parametrize("width", [8, 9])
def test_a_unet_with_guidance_built_in_is_told_it_and_not_guided(guidance, width):
    generator = Generator(distilled_with_guidance(width), 32, 1, 1.0, guidance=guidance)
    assert generator.passes_per_step == 1
    noise = generator.noise([3])
    found = generator.denoise(noise, generator.encode_prompts([PROMPT]), generator.levels(4))
    wanted = distilled_with_guidance(width)(
        PROMPT, latents=noise, num_inference_steps=4, guidance_scale=guidance, height=32, width=32, output_type="latent"
    ).images
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-3)


def test_a_scheduler_is_read_as_diffusers_writes_it(tmp_path):
    """DPM++ has a bound of minus infinity, which is no JSON."""
    written = scheduler_of("DPMSolverMultistepScheduler", use_karras_sigmas=True)
    written.save_pretrained(tmp_path / "scheduler")
    assert "-Infinity" in (tmp_path / "scheduler" / "scheduler_config.json").read_text()
    found = stored_scheduler(tmp_path)
    assert type(found) is type(written) and found.config.lambda_min_clipped == -float("inf")
