"""How a generator is held and differentiated changes memory and rounding, and nothing else."""

from dataclasses import replace

import pytest
import torch

from dina_lrm.generators.load import loaded_generator
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import CONFIGS, GRPO, PROMPTS, REFL, an_algorithm, variance_preserving

OTHERS = [(config, name) for config in (REFL, GRPO) for name in ("synthetic", "synthetic-unet")]
"""Generators beside that of all objectives: what is computed again is the generator's, whatever is learned by it."""


def settings_of(config, **changes):
    return replace(config.generator, **changes)


def gradients(config, settings):
    """What the first update would follow, and the most that autograd kept for it in bytes."""
    generator = loaded_generator(settings, "cpu")
    config = replace(config, generator=settings)
    if settings.pretrained == "synthetic-unet":
        config = variance_preserving(replace(config, rewards=(RewardTerm("cnn"),)))
    kept = 0

    def keep(tensor):
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    found = {}

    def learn():
        found.update({name: p.grad.clone() for name, p in generator.parameters.items()})
        generator_zero(generator)
        return 0.0

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        an_algorithm(config, generator).update(0, learn)
    return found, kept


def generator_zero(generator):
    for parameter in generator.parameters.values():
        parameter.grad = None


@pytest.mark.parametrize(
    ("config", "name"),
    [*((config, "synthetic-uncurated") for config in CONFIGS), *OTHERS],
    ids=lambda each: getattr(each, "algorithm", each),
)
def test_recomputed_activations_give_the_same_gradient_and_take_less(config, name):
    plain, kept = gradients(config, settings_of(config, pretrained=name))
    again, fewer = gradients(config, settings_of(config, pretrained=name, gradient_checkpointing=True))
    for key, gradient in plain.items():
        torch.testing.assert_close(again[key], gradient, atol=1e-6, rtol=1e-4)
    # The decoder and a judge of pixels keep theirs
    assert fewer < kept / 2 or (name == "synthetic-unet" and fewer < kept)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.algorithm)
def test_frozen_weights_may_be_in_bfloat16(config):
    settings = settings_of(config, precision="bf16")
    generator = loaded_generator(settings, "cpu")
    learning = {id(p) for p in generator.parameters.values()}
    kinds = {p.dtype for p in generator.model.parameters() if id(p) not in learning}
    assert kinds == {torch.bfloat16} and {p.dtype for p in generator.parameters.values()} == {torch.float32}
    plain, _ = gradients(config, settings_of(config, precision="fp32"))
    short, _ = gradients(config, settings)
    assert all(gradient.isfinite().all() for gradient in short.values())
    if config is REFL:
        whole, other = (torch.cat([g.flatten() for g in found.values()]) for found in (plain, short))
        assert torch.cosine_similarity(whole, other, dim=0) > 0.98


def test_states_stay_in_float32():
    generator = loaded_generator(settings_of(GRPO, precision="bf16"), "cpu")
    conditioning = generator.encode_prompts(PROMPTS)
    x = generator.denoise(generator.noise([1, 2, 3]), conditioning, generator.levels(4))
    assert x.dtype == generator.images(x).dtype == torch.float32
    near = loaded_generator(settings_of(GRPO, precision="fp32"), "cpu")
    exact = near.denoise(near.noise([1, 2, 3]), near.encode_prompts(PROMPTS), near.levels(4))
    assert (x - exact).square().mean() < 0.01 * exact.square().mean()


def test_automatic_precision_is_that_of_the_hardware():
    from dina_lrm.precision import preferred_dtype

    generator = loaded_generator(GeneratorSettings("synthetic", 32, 0, rank=2, alpha=4.0), "cpu")
    assert generator.backbone.dtype == preferred_dtype("cpu")
