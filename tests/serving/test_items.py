"""What items hold while they wait is counted once, however many of a request hold it."""

import json

import pytest
import torch
from safetensors.torch import save

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.protocols import latents_v1, latents_v2

LATENTS, EMBEDS, POOLED = 4 * 4 * 4 * 4, 7 * 6 * 4, 5 * 4
"""Bytes of one latent (4, 4, 4), of seven tokens six wide, and of a pooled vector."""


def blob(count, rows, **header):
    tensors = {
        "latents": torch.zeros(count, 4, 4, 4),
        "u": torch.full((count,), 0.4),
        "prompt_embeds": torch.zeros(rows, 7, 6),
        "pooled_prompt_embeds": torch.zeros(rows, 5),
    }
    if rows not in (1, count):
        tensors["prompt"] = torch.arange(count) % rows
    return save(tensors, {"drm": json.dumps(header)} if header else None)


@pytest.mark.parametrize(("items", "prompts"), [(1, 1), (14, 1), (14, 14), (28, 7), (30, 7)])
def test_a_request_counts_each_prompt_once(items, prompts):
    asked = latents_v2.read_request(blob(items, prompts, score=["raw"]), Limits())
    for rows in (asked.inline, [Conditioning(torch.zeros(1, 7, 6), torch.zeros(1, 5)) for _ in range(prompts)]):
        size = sum(item.size for item in asked.request(rows, ("dina",)).items)
        assert 0 <= size - (items * LATENTS + prompts * (EMBEDS + POOLED)) < items


def test_protocol_1_sends_a_prompt_for_each_item():
    asked = latents_v1.read_request(blob(3, 3), Limits(), "dina")
    assert [item.size for item in asked.items] == [LATENTS + EMBEDS + POOLED] * 3
