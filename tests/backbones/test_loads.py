"""What a job loads, from headers alone, against what is in memory once it is loaded."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dina_lrm.backbones.loads import Component, components, held_dtype
from dina_lrm.backbones.weight_bytes import weight_bytes
from tests.backbones.families import PROMPTS, FamilyCase
from tests.backbones.rows.sd3 import SD3_CASES


def test_the_bytes_are_those_that_are_loaded(case: FamilyCase, folder: Path, standalone) -> None:
    found = components(replace(case.config, pretrained=str(folder)))
    standalone.load_encoders()
    standalone.encode_prompts(PROMPTS)
    held = standalone.held()
    by_name = {each.name: each for each in found}
    assert by_name.keys() == {case.component, *(name for name in held if name in by_name)}
    for name, each in by_name.items():
        module = standalone.transformer if name == case.component else held[name]
        buffers = sum(tensor.nbytes for tensor in module.buffers())
        assert each.bytes_in(torch.float32) <= weight_bytes([module]) <= each.bytes_in(torch.float32) + buffers
        assert each.parameters * 4 == each.bytes_stored and each.dtype == torch.float32


@pytest.mark.parametrize("case", SD3_CASES[:1], indirect=True, ids=lambda case: case.name)
def test_what_is_not_asked_for_is_not_counted(case: FamilyCase, folder: Path) -> None:
    config = replace(case.config, pretrained=str(folder))
    names = [each.name for each in components(config, autoencoder=False, text_encoders=False)]
    assert names == ["transformer"]
    deeper = components(
        replace(config, depth=1, visual_taps=(1,), text_taps=()), autoencoder=False, text_encoders=False
    )
    assert deeper[0].parameters < components(config)[0].parameters


@pytest.mark.parametrize("case", SD3_CASES[1:2], indirect=True, ids=lambda case: case.name)
def test_the_long_encoder_is_counted_where_it_is_read(case: FamilyCase, folder: Path) -> None:
    config = replace(case.config, pretrained=str(folder))
    both = [[each.name for each in components(replace(config, prompt_length=length))] for length in (0, 8)]
    assert [name for name in both[1] if name not in both[0]] == ["text_encoder_3"]


def test_what_is_stored_narrowly_stays_so_while_it_is_only_read() -> None:
    stored = {torch.bfloat16: 100, torch.int64: 3}
    encoder = Component("text_encoder_3", "text encoder", Path(), stored)
    model = Component("transformer", "model", Path(), stored)
    assert encoder.bytes_stored == model.bytes_stored == 224
    assert encoder.bytes_in(torch.float32) == 224 and model.bytes_in(torch.float32) == 424
    assert held_dtype(torch.float32, torch.bfloat16) == held_dtype(torch.float16, torch.bfloat16) == torch.bfloat16
