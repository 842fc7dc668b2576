"""The card of a LoRA: intervals, code for every kind of base, nothing of this machine."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from dina_lrm.alignment.card import CARD, gain, keep_card, lora_card, usage
from dina_lrm.alignment.monitor.records import Record, Summary
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.locate import BUNDLED_LORAS
from dina_lrm.runs.ownership import MARKER
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import GRPO, REFL

BEFORE, AFTER = Summary(1.0, 1.0, 0.3, 40), Summary(2.0, 1.0, 0.4, 40)


def record(step, summary):
    return Record(step, 8, 4, "objective", "clip", {"objective": summary, "clip": summary}, {})


def test_the_interval_of_a_gain_is_that_of_independent_means():
    assert gain(BEFORE, AFTER) == "+1 (+0.02 to +1.98)"  # 1.96 * sqrt(0.3^2 + 0.4^2) = 0.98
    assert gain(BEFORE, replace(AFTER, standard_error=None)) == "+1 (needs more prompts)"
    assert gain(BEFORE, replace(AFTER, mean=None)) == "\u2013"


def test_what_is_measured_is_of_its_own_step():
    records = [record(0, BEFORE), record(2, AFTER), record(4, BEFORE)]
    text = lora_card(REFL, records, 2, "sd3")
    assert "| objective (optimised) | 1 | 2 | +1 (+0.02 to +1.98) |" in text
    assert "| clip (nothing is optimised for it) | 1 | 2 |" in text
    assert "8 pictures of 4 prompts" in text
    assert "Nothing was measured at this step." in lora_card(REFL, records, 3, "sd3")
    assert "Nothing was measured at this step." in lora_card(REFL, [], 3, "sd3")


def test_nothing_says_where_things_lie_on_this_machine(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "rm").mkdir()
    (tmp_path / "rm" / "README.md").write_text("---\nlicense: mit\n---\n")
    settings = replace(REFL.generator, pretrained=str(tmp_path / "base"), lora=str(tmp_path / "style"))
    rewards = (
        RewardTerm(f"latent:{tmp_path / 'rm'}", 0.5),
        RewardTerm("remote:http://me:secret@host:1/x"),
        RewardTerm("clip:owner/name"),
    )
    text = lora_card(replace(GRPO, generator=settings, rewards=rewards), [], 4, "flux")
    assert not any(private in text for private in (str(tmp_path), "secret", "host"))
    assert "`latent:rm`, weight 0.5 (licence mit); a reward on a server, weight 1; `clip:owner/name`" in text
    assert "| LoRA beneath | `style` |" in text and ModelCard(text).data.base_model is None


def test_the_base_of_the_hub_is_in_the_metadata():
    config = replace(REFL, generator=replace(REFL.generator, pretrained="owner/model"))
    data = ModelCard(lora_card(config, [], 4, "sd3")).data
    assert data.base_model == "owner/model" and data.to_dict()["base_model_relation"] == "adapter"


@pytest.mark.parametrize("name", ["owner/model", "synthetic", *BUNDLED_LORAS])
def test_the_code_is_python_that_names_base_and_lora(name):
    code = usage(GeneratorSettings(name, 32, 0), "sd3")
    compile(code, "card", "exec")
    assert "text_encoder_3=None" in code and 'load_lora_weights("PATH OR HUB ID"' in code
    assert ("beneath" in code) == (name in BUNDLED_LORAS)
    assert "text_encoder_3" not in usage(GeneratorSettings(name), "sd3")


@pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute")
def test_the_code_of_an_uncurated_base_loads_both_loras():
    code = usage(GeneratorSettings("synthetic-uncurated", 32, 0), "sd3")
    names = {}
    exec(code.replace("PATH OR HUB ID", str(BUNDLED_LORAS["synthetic-uncurated"][1])), names)
    assert names["pipeline"].get_active_adapters() == ["beneath", "aligned"]


def test_a_card_that_somebody_changed_stays(tmp_path: Path):
    assert keep_card(tmp_path, REFL, [], 2, "sd3")
    assert keep_card(tmp_path, REFL, [], 4, "sd3")
    assert re.search("updates . 4 of", (tmp_path / CARD).read_text())
    (tmp_path / CARD).write_text("mine")
    assert not keep_card(tmp_path, REFL, [], 6, "sd3") and (tmp_path / CARD).read_text() == "mine"


def test_a_card_of_a_run_that_was_killed_before_its_marker_is_its_own(tmp_path):
    assert keep_card(tmp_path, REFL, [], 2, "sd3")
    (tmp_path / MARKER).unlink()
    assert keep_card(tmp_path, REFL, [], 2, "sd3")
    assert (tmp_path / MARKER).is_file()
    (tmp_path / MARKER).unlink()
    (tmp_path / CARD).write_text("somebody's own words\n")
    assert not keep_card(tmp_path, REFL, [], 2, "sd3")
    assert not (tmp_path / MARKER).exists()
