"""Text encoders one at a time, in the type that they are stored in: the same numbers, and less memory."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from dina_lrm.backbones.base import Backbone
from dina_lrm.backbones.by_block import casts_exactly, compute_by_block
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.free_memory import free_bytes
from dina_lrm.backbones.loads import components
from dina_lrm.backbones.pipeline_folder import load_pipeline
from dina_lrm.backbones.settings import EncoderSettings
from dina_lrm.backbones.t5 import without_t5
from tests.backbones.alive import AliveModels
from tests.backbones.families import LONG, ONE_OF_EACH, PROMPTS, FamilyCase
from tests.backbones.rows.sd3 import SD3_CASES

BATCHES = (PROMPTS, PROMPTS[:1], [LONG])
NARROW = (*ONE_OF_EACH, *(case for case in SD3_CASES if case.config.prompt_length))
CPU = torch.device("cpu")


def assert_same(found: Conditioning, wanted: Conditioning) -> None:
    assert torch.equal(found.prompt_embeds, wanted.prompt_embeds)
    pooled, own = found.pooled_prompt_embeds, wanted.pooled_prompt_embeds
    assert (pooled is None) == (own is None) and (pooled is None or torch.equal(pooled, own))
    assert torch.equal(found.prompt_mask, wanted.prompt_mask)
    assert found.truncated == wanted.truncated


def text_encoders(backbone: Backbone) -> dict[str, torch.nn.Module]:
    return {name: part for name, part in backbone.held().items() if isinstance(part, PreTrainedModel)}


@pytest.mark.parametrize("stay", [True, False])
def test_batches_are_encoded_as_each_by_itself(case: FamilyCase, loaded, standalone, stay: bool) -> None:
    wanted = [loaded.encode_prompts(batch) for batch in BATCHES]
    standalone.hold_encoders(EncoderSettings(stay=stay))
    found = list(standalone.encode_prompt_batches(BATCHES))
    assert len(found) == len(wanted)
    for each, alone in zip(found, wanted, strict=True):
        assert_same(each, alone)
    assert_same(standalone.encode_prompts(PROMPTS), wanted[0])
    assert_same(standalone.unguided_conditioning(), loaded.unguided_conditioning())
    assert bool(text_encoders(standalone)) == stay


def test_no_two_of_them_are_in_memory_at_once(case: FamilyCase, folder: Path, standalone) -> None:
    standalone.hold_encoders(EncoderSettings(stay=False))
    config = replace(case.config, pretrained=str(folder))
    largest = max(each.bytes_in(torch.float32) for each in components(config) if each.role != "model")
    pixels = torch.zeros(1, 3, 32, 32)
    with AliveModels() as alive:
        standalone.encode_images(pixels)
        for _ in standalone.encode_prompt_batches(BATCHES):
            pass
        standalone.encode_images(pixels)
    assert alive.together == 1
    encoders = [name for name in alive.calls if not name.startswith("Autoencoder")]
    assert len(encoders) == sum(each.role == "text encoder" for each in components(config))  # each loaded once
    assert largest * 0.9 < alive.most_bytes < largest * 1.1


def test_they_would_be_seen_if_they_were_together(case: FamilyCase, standalone) -> None:
    standalone.hold_encoders(EncoderSettings(stay=True))
    with AliveModels() as alive:
        standalone.encode_images(torch.zeros(1, 3, 32, 32))
        standalone.encode_prompts(PROMPTS)
    assert alive.together == len(alive.calls) >= 2


@pytest.mark.parametrize("case", NARROW, indirect=True, ids=lambda case: case.name)
@pytest.mark.parametrize(("stay", "offload"), [(True, False), (False, True)])
def test_weights_of_16_bits_stay_so_and_compute_as_if_cast(
    case: FamilyCase, pipeline, tmp_path: Path, stay: bool, offload: bool
) -> None:
    narrow = tmp_path / "narrow"
    pipeline.to(torch.bfloat16).save_pretrained(narrow)
    absent = {} if case.config.prompt_length else without_t5(narrow)
    wanted = case.shared(load_pipeline(narrow, torch.float32, absent)).encode_prompts(PROMPTS)
    standalone = case.standalone(narrow)
    standalone.hold_encoders(EncoderSettings(stay=stay, offload=offload))
    assert_same(standalone.encode_prompts(PROMPTS), wanted)
    assert_same(standalone.encode_prompts(PROMPTS), wanted)  # nothing of the first time is left
    if stay:
        types = Counter(weight.dtype for part in text_encoders(standalone).values() for weight in part.parameters())
        # Gemma's scale of embeddings, which it makes for itself, would be rounded
        assert types.keys() == {torch.float32 if case.config.family == "sana" else torch.bfloat16}


def test_a_model_with_rounded_numbers_of_its_own_is_not_cast_by_block() -> None:
    model = torch.nn.Linear(2, 2).to(torch.bfloat16)
    assert casts_exactly(model, torch.float32)
    model.register_buffer("scale", torch.ones(1, dtype=torch.bfloat16), persistent=False)
    assert not casts_exactly(model, torch.float32) and casts_exactly(model, torch.bfloat16)


def test_weights_come_back_when_a_block_fails() -> None:
    block = torch.nn.Linear(2, 2).to(torch.bfloat16)
    own = block.weight
    compute_by_block(block, CPU, torch.float32)
    with pytest.raises(RuntimeError):
        block(torch.zeros(1, 3))
    assert block.weight is own
    assert block(torch.zeros(1, 2)).dtype == torch.float32 and block.weight is own


@pytest.mark.parametrize("case", ONE_OF_EACH[:1], indirect=True, ids=lambda case: case.name)
def test_encoders_that_were_loaded_to_stay_do(case: FamilyCase, standalone) -> None:
    standalone.hold_encoders(EncoderSettings(stay=False))
    standalone.load_encoders()
    held = text_encoders(standalone)
    standalone.encode_prompts(PROMPTS)
    assert held and {name: id(part) for name, part in text_encoders(standalone).items()} == {
        name: id(part) for name, part in held.items()
    }


@pytest.mark.parametrize("case", ONE_OF_EACH[:1], indirect=True, ids=lambda case: case.name)
def test_a_pipeline_in_memory_is_held_by_its_owner(case: FamilyCase, shared) -> None:
    with pytest.raises(ValueError, match=r"stay=False.*accepted: the pipeline's own way"):
        shared.hold_encoders(EncoderSettings(stay=False))


def test_free_memory_is_below_the_machines() -> None:
    free = free_bytes(CPU)
    assert free is None or 0 < free < 2**50
