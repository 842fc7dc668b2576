"""A distilled generator is said to be one before anything is spent on it."""

import pytest
from diffusers import LCMScheduler

from dina_lrm.generators.distilled import DistilledWarning, distillation_faults
from dina_lrm.generators.generator import Generator
from dina_lrm.synthetic.world import bundled_pipeline
from tests.alignment.runs import REFL, a_generator, a_run
from tests.backbones.families import ONE_OF_EACH

CACHE = "/home/me/.cache/huggingface/hub/models--{}/snapshots/5f2d"
FEW_STEPS = (
    "stabilityai/sdxl-turbo",
    "stabilityai/stable-diffusion-3.5-large-turbo",
    "black-forest-labs/FLUX.1-schnell",
    "Tongyi-MAI/Z-Image-Turbo",
    "Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers",
    CACHE.format("black-forest-labs--FLUX.1-schnell"),
    "models/my_sd15_lcm/",
)
MANY_STEPS = (
    "stabilityai/stable-diffusion-3.5-medium",
    CACHE.format("Qwen--Qwen-Image"),
    "/data/turbo/stable-diffusion-v1-5",
)


@pytest.mark.parametrize(("name", "few"), [*((n, True) for n in FEW_STEPS), *((n, False) for n in MANY_STEPS)])
def test_names_of_generators_of_few_steps(name, few):
    pipeline = bundled_pipeline("synthetic-unet")
    pipeline.register_to_config(_name_or_path=name)
    found = distillation_faults(pipeline, pipeline.unet, 5.0)
    assert len(found) == few and all("few steps (its name" in fault for fault in found)


def test_a_sampler_of_few_steps_follows_no_ode():
    generator = Generator(bundled_pipeline("synthetic-unet"), 32, 2, 4.0)
    generator.pipeline.scheduler = LCMScheduler.from_config(generator.pipeline.scheduler.config)
    with pytest.raises(ValueError, match="got a LCMScheduler, whose model jumps to clean latents"):
        generator.levels(4)


def test_guidance_on_top_of_guidance():
    case = next(case for case in ONE_OF_EACH if case.config.family == "flux")
    pipeline = case.pipeline()
    assert pipeline.transformer.config.guidance_embeds
    (found,) = distillation_faults(pipeline, pipeline.transformer, 4.5)
    assert "guidance 4.5 comes on top" in found
    for none in (0.0, 1.0):
        assert distillation_faults(pipeline, pipeline.transformer, none) == []


def test_a_run_warns_and_goes_on(tmp_path, monkeypatch):
    generator = a_generator(REFL)
    generator.pipeline.register_to_config(_name_or_path="me/my-turbo")
    monkeypatch.setattr("tests.alignment.runs.a_generator", lambda config: generator)
    with pytest.warns(DistilledWarning, match="distilled to few steps"):
        _, looks, _ = a_run(REFL, tmp_path, stop_after=1)
    assert looks
