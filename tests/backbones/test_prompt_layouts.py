"""A prompt that lay in a shard is read as the one that was encoded, by every family and to the bit."""

import torch

from dina_lrm.data.cache.prompt_layout import PromptLayout, layout_of, packed, unpacked
from tests.backbones.families import LONG, PROMPTS, assert_equal, levels_of


def test_a_stored_prompt_is_read_to_the_bit(case, standalone):
    told = standalone.encode_prompts([*PROMPTS[:2], LONG])
    layout = PromptLayout.of(case.config.family, case.config.prompt_length, told.shape)
    assert layout.ragged == case.masked
    columns = packed(told, layout)
    assert layout_of(columns) == layout  # nothing of these prompts makes the writer fall back
    again = unpacked(columns)
    assert again.prompt_embeds.shape == told.prompt_embeds.shape
    latents, levels = case.latents(), levels_of()
    assert_equal(standalone.features(latents, levels, again), standalone.features(latents, levels, told))
    assert torch.equal(again.prompt_mask, told.prompt_mask)
