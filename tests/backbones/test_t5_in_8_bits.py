"""T5 rounded to 8 bits when it is loaded: who may, what changes, and that it is said."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from dina_lrm.backbones.settings import EncoderSettings
from dina_lrm.data.cache.format import BackboneIdentity
from tests.backbones.families import PROMPTS, FamilyCase
from tests.backbones.rows.sd3 import SD3_CASES
from tests.tiny import CLIP_TOKENS

WITH_T5 = [case for case in SD3_CASES if case.config.prompt_length]
WITHOUT_T5 = [case for case in SD3_CASES if not case.config.prompt_length][:1]
rounds = pytest.mark.skipif(find_spec("torchao") is None, reason="needs torchao")


@pytest.mark.parametrize("case", WITHOUT_T5, indirect=True, ids=lambda case: case.name)
def test_a_generator_without_t5_is_refused(case: FamilyCase, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"t5_weights: got '8bit', but .* by text_encoder \(CLIP.*accepted: 'stored'"):
        case.standalone(folder, t5_weights="8bit")


@pytest.mark.skipif(find_spec("torchao") is not None, reason="for where torchao is missing")
@pytest.mark.parametrize("case", WITH_T5, indirect=True, ids=lambda case: case.name)
def test_what_is_missing_is_said_before_anything_is_loaded(case: FamilyCase, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"needs torchao, .* accepted: 'stored', or pip install"):
        case.standalone(folder, t5_weights="8bit")


def test_other_words_are_refused() -> None:
    with pytest.raises(ValueError, match="t5_weights: got '4bit', expected 'stored' or '8bit'"):
        replace(WITH_T5[0].config, t5_weights="4bit")


def test_a_cache_says_so() -> None:
    config = WITH_T5[0].config
    stored, rounded = (BackboneIdentity.of(replace(config, t5_weights=how)) for how in ("stored", "8bit"))
    assert not stored.same_as(rounded) and rounded.same_as(rounded)
    assert stored.encodes_as != rounded.encodes_as
    assert str(rounded) == f"{stored} and T5 in 8bit"


@rounds
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", WITH_T5, indirect=True, ids=lambda case: case.name)
@pytest.mark.parametrize("stay", [True, False])
def test_only_what_t5_says_changes_and_little(case: FamilyCase, folder: Path, loaded, stay: bool) -> None:
    wanted = loaded.encode_prompts(PROMPTS).prompt_embeds
    backbone = case.standalone(folder, t5_weights="8bit")
    backbone.hold_encoders(EncoderSettings(stay=stay))
    found = backbone.encode_prompts(PROMPTS).prompt_embeds
    assert torch.equal(found[:, :CLIP_TOKENS], wanted[:, :CLIP_TOKENS])
    own, other = found[:, CLIP_TOKENS:], wanted[:, CLIP_TOKENS:]
    assert 0 < (own - other).norm() < 0.05 * other.norm()
