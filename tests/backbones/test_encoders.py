"""Images and prompts through the generator's own encoders."""

import re
from dataclasses import replace

import pytest
import torch

from tests.backbones.families import LONG, ONE_OF_EACH, PROMPTS, FamilyCase
from tests.backbones.rows.sd3 import SD3_CASES
from tests.tiny import CLIP_TOKENS

MUST_HAVE_A_LENGTH = [case for case in ONE_OF_EACH if case.config.prompt_length]


def pixels_of(batch=2):
    return torch.rand(batch, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_latents_are_shifted_scaled_and_deterministic(case, pipeline, shared):
    latents = shared.encode_images(pixels_of())
    assert latents.shape == (2, shared.latent_channels, 32 // shared.pixels_per_latent, 32 // shared.pixels_per_latent)
    torch.testing.assert_close(latents, case.latents_of_pixels(pipeline, pixels_of()), atol=1e-6, rtol=1e-6)
    assert torch.equal(latents, shared.encode_images(pixels_of()))


def test_decoding_is_the_pipelines_own(case, pipeline, shared):
    latents = shared.encode_images(pixels_of())
    decoded = shared.decode_latents(latents)
    own = case.sampled(pipeline, PROMPTS[0], latents[:1], 0.0, "pt")
    torch.testing.assert_close((decoded[:1] / 2 + 0.5).clamp(0, 1), own, atol=1e-4, rtol=1e-4)


def test_gradients_flow_through_the_decoder_but_not_into_it(pipeline, shared):
    pipeline.vae.requires_grad_(True)
    latents = shared.encode_images(pixels_of()).requires_grad_()
    shared.decode_latents(latents).square().mean().backward()
    assert latents.grad.abs().max() > 0
    assert all(parameter.requires_grad and parameter.grad is None for parameter in pipeline.vae.parameters())


def test_standalone_and_shared_encode_alike(shared, standalone):
    torch.testing.assert_close(standalone.encode_images(pixels_of()), shared.encode_images(pixels_of()))
    ours, theirs = standalone.encode_prompts(PROMPTS), shared.encode_prompts(PROMPTS)
    torch.testing.assert_close(ours.prompt_embeds, theirs.prompt_embeds)
    if theirs.pooled_prompt_embeds is not None:
        torch.testing.assert_close(ours.pooled_prompt_embeds, theirs.pooled_prompt_embeds)
    assert torch.equal(ours.prompt_mask, theirs.prompt_mask) and ours.truncated == theirs.truncated


def test_prompts_are_encoded_as_the_pipeline_does(case, pipeline, shared):
    rows, pooled = case.encoded(pipeline, PROMPTS)
    encoded = shared.encode_prompts(PROMPTS)
    assert encoded.prompt_embeds.shape == (3, len(case.mask), rows[0].shape[-1])
    for mine, row, mask in zip(encoded.prompt_embeds, rows, encoded.prompt_mask, strict=True):
        # Where padding is masked everywhere it is zeros, whatever the encoder made of it
        read = mask[: len(row)] if case.masked else slice(None)
        torch.testing.assert_close(mine[: len(row)][read], row[read])
    if pooled is not None:
        torch.testing.assert_close(encoded.pooled_prompt_embeds, pooled)
    assert not encoded.prompt_embeds.requires_grad


def test_the_mask_marks_real_tokens(case, shared):
    assert tuple(shared.encode_prompts([PROMPTS[0]]).prompt_mask[0].tolist()) == case.mask


def test_a_prompt_does_not_depend_on_its_neighbours(case, shared):
    together = shared.encode_prompts(PROMPTS)
    alone = shared.encode_prompts(PROMPTS[:1])
    torch.testing.assert_close(alone.prompt_embeds, together.prompt_embeds[:1], atol=1e-5, rtol=1e-5)
    assert torch.equal(alone.prompt_mask, together.prompt_mask[:1])


def test_truncation_is_told_for_each_prompt_and_tokenizer(case, shared):
    fits, cut = shared.encode_prompts(["a cube", LONG]).truncated
    assert fits is None and re.match(case.cut, cut), cut
    assert shared.cut_prompts(["a cube", LONG]) == (fits, cut)


@pytest.mark.parametrize("prompts", [[], "a red cube"])
def test_prompts_must_be_a_list_of_strings(shared, prompts):
    with pytest.raises(ValueError, match="expected a list of at least one string"):
        shared.encode_prompts(prompts)
    with pytest.raises(ValueError, match="expected a list of at least one string"):
        shared.cut_prompts(prompts)


def test_images_must_fit_the_patches(shared):
    multiple = shared.pixels_per_latent * shared.latent_multiple
    with pytest.raises(ValueError, match=f"size 32 x 30, expected multiples of {multiple}"):
        shared.encode_images(pixels_of()[:, :, :, :30])


@pytest.mark.parametrize("case", SD3_CASES, indirect=True, ids=lambda case: case.name)
def test_prompt_length_zero_leaves_a_loaded_t5_out(case: FamilyCase, pipeline):
    config = replace(case.config, prompt_length=0)
    without = replace(case, config=config).shared(pipeline)
    assert without.encode_prompts(["a red cube"]).prompt_embeds.shape == (1, CLIP_TOKENS, 24)


@pytest.mark.parametrize("case", MUST_HAVE_A_LENGTH, indirect=True, ids=lambda case: case.name)
def test_other_families_need_a_prompt_length(case: FamilyCase, pipeline):
    with pytest.raises(ValueError, match=r"prompt_length: got 0, .* at least 1"):
        replace(case, config=replace(case.config, prompt_length=0)).shared(pipeline)
