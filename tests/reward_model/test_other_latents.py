"""Latents of another family: refused where that can be seen, and scored by way of pixels."""

from dataclasses import replace

import pytest
import torch

from dina_lrm.backbones.registry import load_backbone
from dina_lrm.reward_model.other_latents import reencoded
from tests.backbones.rows.stable_diffusion import STABLE_DIFFUSION_CASES
from tests.models import some_latents, tiny_config, tiny_reward_model
from tests.tiny_unets import tiny_sd_pipeline


@pytest.fixture
def unet():
    return load_backbone(STABLE_DIFFUSION_CASES[0].config, pipeline=tiny_sd_pipeline())


def test_latents_go_through_pixels(tiny_folder, unet):
    model = tiny_reward_model(tiny_folder)
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = unet.encode_images(pixels)
    assert latents.shape == (2, 4, 8, 8)
    conditioning = model.encode_prompts(["a red cube", "the ball"])
    with pytest.raises(ValueError, match=r"latents have shape \(2, 4, 8, 8\); accepted: \(batch, 16, .*reencoded"):
        model.score_latents(latents, conditioning)
    moved = reencoded(latents.requires_grad_(), unet, model.backbone)
    by_hand = model.backbone.encode_images(unet.decode_latents(latents.detach()).clamp(-1, 1))
    torch.testing.assert_close(moved, by_hand)
    model.score_latents(moved, conditioning).sum().backward()
    assert latents.grad.abs().max() > 0
    with pytest.raises(ValueError, match=r"reencoded: latents have shape \(2, 16, 8, 8\); accepted: \(batch, 4"):
        reencoded(some_latents(2), unet, model.backbone)


def test_sizes_that_do_not_fit_are_scaled(tiny_folder, unet):
    target = load_backbone(replace(tiny_config(tiny_folder).backbone))
    # 4 x 6 latents are 16 x 24 pixels; 5 x 6 are 20 x 24, of which 20 is no multiple of 8
    assert reencoded(torch.zeros(1, 4, 4, 6), unet, target).shape == (1, 16, 4, 6)
    assert reencoded(torch.zeros(1, 4, 5, 6), unet, target).shape[2:] in ((4, 6), (6, 6))


def test_latents_that_were_never_scaled_are_refused(tiny_folder):
    model = tiny_reward_model(tiny_folder)
    conditioning = model.encode_prompts("a red cube")
    latents = some_latents(2)
    model.score_latents(3 * latents, conditioning)
    with pytest.raises(ValueError, match=r"items \[1\] have a root mean square of .* scaled space"):
        model.score_latents(torch.stack([latents[0], 6 * latents[1]]), conditioning)
