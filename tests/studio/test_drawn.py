"""A generator beside one that draws damaged pictures: drawn, judged, and found to be worse."""

import pytest

from dina_lrm.evaluation.generators.plan import GeneratorPlan
from dina_lrm.reports.html import render_part
from dina_lrm.studio.hacked.finding import hacking_of
from dina_lrm.studio.hacked.of_generators import base_of, sides_of_generators
from dina_lrm.studio.hacked.shown import hacking_sections
from dina_lrm.synthetic.prompts import judged_prompts
from tests.cli.test_evaluate_generator import a_lora

pytestmark = pytest.mark.slow


def test_a_generator_that_draws_damaged_pictures_is_worse(tmp_path):
    prompts = judged_prompts("synthetic", 0, 8)
    plan = GeneratorPlan("synthetic", "synthetic-uncurated", prompts, ("sharpness",), 2, steps=8)
    sides = sides_of_generators(plan, tmp_path / "kept")
    finding = hacking_of(sides)
    assert len(sides.names) == 16 and sides.drawn == 8 and sides.optimised is None
    assert {each.name for each in sides.values} >= {"sharpness", "true utility", "grid_energy", "diversity"}
    before, after = sides.pictures(5)
    assert before.shape == after.shape == (32, 32, 3) and (before != after).any()
    assert finding.result.find("true utility").difference.value < 0
    assert "true utility" in render_part(hacking_sections(finding), "x", finding.verdict)
    assert all(spectrum.pictures == 16 for spectrum in sides.spectra)


def test_the_base_of_a_run_is_known_from_its_settings(tmp_path):
    folder = a_lora(tmp_path / "run", "synthetic-uncurated")
    assert base_of(str(folder)) == "synthetic-uncurated" and base_of("synthetic-uncurated") == "synthetic"
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((folder / "lora" / "pytorch_lora_weights.safetensors").read_bytes())
    assert base_of(str(alone)) == "synthetic", "of a LoRA alone nothing is known"
