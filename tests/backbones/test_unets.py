"""What is a U-Net's own, beside what all families obey: maps of several sizes, up blocks, SDXL's added conditions."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.backbones.families import SETTINGS, levels_of, randomize_lora, tensors_of
from tests.backbones.rows.stable_diffusion import STABLE_DIFFUSION_CASES
from tests.tiny_unets import POOLED, UNET_WIDTHS, saved

pytestmark = pytest.mark.parametrize("case", STABLE_DIFFUSION_CASES, indirect=True, ids=lambda case: case.name)


def test_widths_are_those_of_the_resolutions_and_text_is_handed_through(case, backbone, conditioning):
    assert backbone.visual_widths == tuple((8, *UNET_WIDTHS, 16)[tap] for tap in case.config.visual_taps)
    features = backbone.features(case.latents(), levels_of(), conditioning)
    assert all(torch.equal(text, conditioning.prompt_embeds) for text in features.text)
    assert torch.equal(features.pooled_text, conditioning.pooled_prompt_embeds)
    if case.name == "sdxl":
        assert backbone.pooled_width == POOLED


def test_the_prediction_is_the_schedulers(case, backbone):
    assert backbone.predicts_noise == case.predicts_noise


def test_up_blocks_are_neither_loaded_nor_run(case, folder, backbone, conditioning):
    if backbone.shared:
        for block in backbone.transformer.up_blocks:
            block.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(AssertionError("an up block ran")))
    else:
        assert not any(name.startswith(("up_blocks", "conv_out")) for name in backbone.transformer.state_dict())
    backbone.features(case.latents(), levels_of(), conditioning)
    shallow = case.standalone(folder, depth=1, visual_taps=(0, 1), text_taps=())
    assert not any(name.startswith(("mid_block", "down_blocks.1")) for name in shallow.transformer.state_dict())


def test_a_folder_without_up_blocks_will_do(case, pipeline, tmp_path):
    copied = saved(pipeline, tmp_path / "copy")
    path = copied / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(path).items() if not name.startswith("up_blocks")}, path)
    case.standalone(copied)


def test_all_of_the_lora_is_in_attention_and_reached(case, backbone, conditioning):
    backbone.add_lora(SETTINGS)
    randomize_lora(backbone)
    assert all(".attn" in name for name in backbone.lora_state_dict())
    sum(t.square().mean() for t in tensors_of(backbone.features(case.latents(), levels_of(), conditioning))).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in backbone.trainable_parameters())


def test_an_error_in_the_last_block_leaves_the_model_whole(case, pipeline, shared, conditioning):
    """The mid block is no entry of a list, and is put back by itself."""
    unet = pipeline.unet
    down, mid = unet.down_blocks, unet.mid_block
    last = unet.get_submodule(shared.used_blocks[-1])
    handle = last.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("stop")))
    with pytest.raises(RuntimeError, match="stop"):
        shared.features(case.latents(), levels_of(), conditioning)
    handle.remove()
    assert unet.down_blocks is down and unet.mid_block is mid


def test_latents_are_never_shifted(case, pipeline):
    """As in the pipelines, whatever the configuration of the VAE holds."""
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plain = case.shared(pipeline).encode_images(pixels)
    pipeline.vae.register_to_config(shift_factor=0.5)
    shifted = case.shared(pipeline)
    assert shifted.latent_shift == 0.0 and torch.equal(shifted.encode_images(pixels), plain)


def test_depths_and_taps_that_a_unet_has_not_are_refused(case, folder):
    with pytest.raises(ValueError, match="a U-Net never changes its text states"):
        case.standalone(folder, text_taps=(1,))
    with pytest.raises(ValueError, match=r"depth: got 9, but .* has 2 down blocks and a mid block"):
        case.standalone(folder, depth=9)
