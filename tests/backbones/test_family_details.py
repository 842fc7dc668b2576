"""What is one family's own, beside what all of them obey."""

from dataclasses import replace

import pytest
import torch

from dina_lrm.backbones.conditioning import Conditioning
from tests.backbones.families import assert_close, assert_equal, differ, levels_of
from tests.backbones.rows.flux import FLUX_CASES
from tests.backbones.rows.sana import SANA_CASES
from tests.backbones.rows.z_image import Z_IMAGE_CASES

DEV, SCHNELL = FLUX_CASES
[Z_IMAGE] = Z_IMAGE_CASES
[SANA] = SANA_CASES


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def read(case, conditioning, height=8, width=8, **changes):
    backbone = replace(case, config=replace(case.config, **changes)).shared(case.pipeline())
    return backbone.features(case.latents(height, width, len(conditioning)), levels_of(0.4, 0.4, 0.4), conditioning)


def flux_prompts():
    return Conditioning(drawn(3, 5, 24), drawn(3, 12))


def test_guidance_is_an_input_of_the_distilled_flux_only():
    assert differ(read(DEV, flux_prompts()), read(DEV, flux_prompts(), guidance=1.0))
    assert_equal(read(SCHNELL, flux_prompts()), read(SCHNELL, flux_prompts(), guidance=1.0))


def test_the_released_reading_of_flux_is_time_and_guidance_a_thousand_times_smaller():
    released = read(DEV, flux_prompts(), reading="released")
    backbone = replace(DEV, config=replace(DEV.config, guidance=3.5 / 1000)).shared(DEV.pipeline())
    own = backbone.features(DEV.latents(), levels_of(0.0004, 0.0004, 0.0004), flux_prompts())
    assert_close(released, own, 1e-4)
    assert differ(released, read(DEV, flux_prompts()))


def test_single_blocks_of_flux_are_counted_behind_the_double_ones():
    backbone = DEV.shared(DEV.pipeline())
    assert backbone.block_names(backbone.transformer) == [
        *("transformer_blocks.0", "transformer_blocks.1"),
        *("single_transformer_blocks.0", "single_transformer_blocks.1"),
    ]
    deep = read(DEV, flux_prompts(), depth=4, visual_taps=(2, 3, 4), text_taps=(4,))
    double = read(DEV, flux_prompts(), depth=2, visual_taps=(2,), text_taps=())
    assert torch.equal(deep.visual[0], double.visual[0])
    assert not torch.equal(deep.visual[1], deep.visual[2])


def captions(*lengths, tokens=40):
    mask = torch.arange(tokens) < torch.tensor(lengths)[:, None]
    return Conditioning(drawn(len(lengths), tokens, 24), prompt_mask=mask)


def test_a_caption_of_z_image_without_a_mask_is_real_throughout():
    given = captions(40, 40, 40)
    assert_equal(read(Z_IMAGE, given), read(Z_IMAGE, replace(given, prompt_mask=None)))


def test_gaps_in_a_mask_of_z_image_are_closed_and_kept():
    dense = captions(7, 33, 40)
    gaps = torch.zeros(3, 60, dtype=torch.bool)
    gaps[0, 10:17], gaps[1, 2:35], gaps[2, 20:] = True, True, True
    embeds = torch.zeros(3, 60, 24)
    embeds[gaps] = dense.prompt_embeds[dense.prompt_mask]
    plain, spread = read(Z_IMAGE, dense), read(Z_IMAGE, Conditioning(embeds, prompt_mask=gaps))
    assert gaps.sum() == 7 + 33 + 40
    for a, b in zip(plain.visual, spread.visual, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(plain.text, spread.text, strict=True):
        assert torch.equal(a[dense.prompt_mask], b[gaps]) and not b[~gaps].any()


def test_the_released_reading_of_z_image_adds_its_padding():
    given = captions(7, 33, 40)
    own, released = read(Z_IMAGE, given, height=8, width=6), read(Z_IMAGE, given, height=8, width=6, reading="released")
    # 12 image tokens are padded to 32; captions to 32, 64 and 64, in 64 places.
    assert [x.shape[1] for x in (*own.visual, *released.visual)] == [12] * 3 + [32] * 3
    assert released.text_mask.sum(dim=1).tolist() == [32, 64, 64] and released.text[0].shape[1] == 64
    for a, b in zip(own.visual, released.visual, strict=True):
        assert torch.equal(a, b[:, :12])
    for a, b in zip(own.text, released.text, strict=True):
        assert torch.equal(a[given.prompt_mask], b[:, :40][given.prompt_mask])
        assert b[0, 7:32].abs().sum() > 0 and not b[0, 32:].any()


def test_a_caption_without_a_token_is_refused_by_z_image():
    with pytest.raises(ValueError, match="prompt 1 has no token that is not masked"):
        read(Z_IMAGE, captions(7, 0, 3))


def test_captions_of_sana_are_tapped_before_the_first_block_only():
    with pytest.raises(ValueError, match=r"text_taps: got \(0, 1\), but SANA's blocks leave captions"):
        read(SANA, captions(3, 4, 5), text_taps=(0, 1))
    assert read(SANA, captions(3, 4, 5), text_taps=()).text == ()
