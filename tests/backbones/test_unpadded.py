"""Prompts without padding: nothing attends to what is not there, and nobody else may be asked to."""

from dataclasses import replace

import pytest
import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.families import FAMILIES
from dina_lrm.data.cache.prompt_layout import PromptLayout, layout_of, packed, unpacked
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.serving.items import LatentItem
from dina_lrm.serving.latent import LatentServed
from dina_lrm.serving.problems import Problem
from tests.backbones.families import FAMILY_CASES, LONG, ONE_OF_EACH, PROMPTS, SETTINGS, assert_close, levels_of
from tests.models import randomised

DROPS = [case for case in FAMILY_CASES if FAMILIES[case.config.family].drops_padding]
KEEPS = [case for case in ONE_OF_EACH if not FAMILIES[case.config.family].drops_padding]
UNEQUAL = ("red", "a red cube", LONG)
drops = pytest.mark.parametrize("case", DROPS, indirect=True, ids=lambda case: case.name)


@pytest.fixture
def unpadded(case, folder):
    return case.standalone(folder, prompt_padding="none")


@drops
def test_a_prompt_is_encoded_and_read_as_if_it_were_alone(case, unpadded):
    told = unpadded.encode_prompts(UNEQUAL)
    latents, levels = case.latents(), levels_of()
    together = unpadded.features(latents, levels, told)
    ends = [int(mask.nonzero()[-1]) + 1 for mask in told.prompt_mask]
    assert len({*ends}) > 1
    for row, end in enumerate(ends):
        alone = unpadded.encode_prompts(UNEQUAL[row : row + 1])
        torch.testing.assert_close(told.prompt_embeds[row], alone.prompt_embeds[0])
        assert not told.prompt_embeds[row, end:].any()
        # As a pipeline would be called with these states and no others: nothing filled in
        short = Conditioning(alone.prompt_embeds[:, :end], alone.pooled_prompt_embeds, alone.prompt_mask[:, :end])
        own = unpadded._features(latents[row : row + 1], levels[row : row + 1], short)
        found = together.rows(slice(row, row + 1))
        text = tuple(tap[:, :end] for tap in found.text)
        assert_close(replace(found, text=text, text_mask=None, text_there=None), own)
        assert found.text_there.sum() == end


@drops
@pytest.mark.parametrize("recomputed", [False, True])
def test_rows_are_read_under_their_names_whatever_their_length(case, unpadded, recomputed):
    unpadded.add_lora(replace(SETTINGS, dropout=0.5))
    if recomputed:
        unpadded.enable_gradient_checkpointing()
    seen = {True: {}, False: {}}  # in the forward pass, and behind it
    unpadded.train()
    forward = [True]
    for name in unpadded.used_blocks:
        block = unpadded.transformer.get_submodule(name)
        block.register_forward_pre_hook(
            lambda block, given, name=name: (
                seen[forward[0]].setdefault(name, []).extend(unpadded.rows_read.names.tolist())
            )
        )
    told, names = unpadded.encode_prompts(UNEQUAL), torch.tensor([7, 8, 9])
    with unpadded.rows_read.of(names):
        features = unpadded.features(case.latents(), levels_of(), told)
    forward[0] = False
    assert unpadded.rows_read.names is None
    features.visual[-1].sum().backward()
    assert all(sorted(rows) == names.tolist() for rows in seen[True].values())
    assert len(seen[True]) == len(unpadded.used_blocks)
    assert (seen[False] == {}) == (not recomputed)
    assert all(sorted(rows) == names.tolist() for rows in seen[False].values())


@drops
def test_the_states_of_a_prompt_that_needs_no_padding_are_the_padded_ones(case, folder, unpadded):
    padded = case.standalone(folder)
    full = [PROMPTS[0], LONG] if case.config.prompt_length else [LONG]
    rows = [row for row, mask in enumerate(padded.encode_prompts(full).prompt_mask) if mask[-1]]
    for row in rows:
        one, other = (each.encode_prompts(full[row : row + 1]) for each in (padded, unpadded))
        torch.testing.assert_close(one.prompt_embeds, other.prompt_embeds)
    assert rows


@drops
@pytest.mark.parametrize("masked", [True, False])
def test_a_score_is_that_of_the_prompt_alone_and_not_that_of_the_padded_one(case, folder, masked):
    head = QFormerConfig(width=16, attention_heads=4, mask_text_padding=masked)
    backbone = case.standalone(folder).config
    models = [
        randomised(
            LatentRewardModel.build(
                RewardModelConfig(replace(backbone, prompt_padding=padding), head, SETTINGS, resolution=32)
            )
        ).eval()
        for padding in ("none", "max")
    ]
    none, most = models
    told, latents = none.backbone.encode_prompts(UNEQUAL), case.latents()
    scores = none.score_latents(latents, told, (0.2, 0.7))
    for row in range(3):
        alone = none.score_latents(latents[row : row + 1], told[row], (0.2, 0.7))
        torch.testing.assert_close(scores[row : row + 1], alone, rtol=1e-4, atol=1e-5)
    padded = most.score_latents(latents, most.backbone.encode_prompts(UNEQUAL), (0.2, 0.7))
    assert not torch.allclose(scores[:2], padded[:2], rtol=1e-3)
    again = unpacked(packed(told, PromptLayout.of(backbone.family, backbone.prompt_length, told.shape, "none")))
    assert torch.equal(none.score_latents(latents, again, (0.2, 0.7)), scores)
    assert layout_of(packed(told, PromptLayout.of(backbone.family, backbone.prompt_length, told.shape, "none"))).ragged


@drops
def test_padded_prompts_and_prompts_without_a_mask_are_refused(case, folder, unpadded):
    padded = case.standalone(folder).encode_prompts(UNEQUAL)
    with pytest.raises(ValueError, match="prompt_padding='max', which go on behind their last token"):
        unpadded.features(case.latents(), levels_of(), padded)
    with pytest.raises(ValueError, match="no prompt_mask; prompt_padding='none' needs it"):
        unpadded.features(case.latents(), levels_of(), replace(padded, prompt_mask=None))


@pytest.mark.parametrize("case", KEEPS, indirect=True, ids=lambda case: case.config.family)
def test_families_whose_padding_cannot_be_left_out_refuse(case, folder):
    with pytest.raises(
        ValueError, match=rf"family {case.config.family} .*; accepted: 'max', or the families sd3, flux"
    ):
        case.standalone(folder, prompt_padding="none")


@drops
def test_a_server_refuses_prompts_of_the_other_padding(case, folder):
    head = QFormerConfig(width=16, attention_heads=4)
    for padding, other in (("none", "max"), ("max", "none")):
        backbone = replace(case.standalone(folder).config, prompt_padding=padding)
        model = LatentRewardModel.build(RewardModelConfig(backbone, head, SETTINGS, resolution=32)).eval()
        served = LatentServed("m", model)
        assert served.info()["prompt_padding"] == padding
        own = model.backbone.encode_prompts(UNEQUAL[:1])
        served.check(LatentItem(case.latents()[0], own, (0.4,)))
        theirs = case.standalone(folder, prompt_padding=other).encode_prompts(UNEQUAL[:1])
        with pytest.raises(Problem, match=f"prompt_padding='{other}', .* has prompt_padding='{padding}'"):
            served.check(LatentItem(case.latents()[0], theirs, (0.4,)))
