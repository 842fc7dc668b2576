"""The alignment study: gains on the same pictures, what the page says of them, and what a run costs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dina_lrm.alignment.monitor.records import Record, Summary
from dina_lrm.cli.main import main
from dina_lrm.experiments.alignment.alarms import best_look, heard, rolled_back
from dina_lrm.experiments.alignment.cells import TRUTH, AlignedCell
from dina_lrm.experiments.alignment.costs import AlignmentCost, alignment_cost, load_costs, save_costs
from dina_lrm.experiments.alignment.equal_compute import equal_compute_table
from dina_lrm.experiments.alignment.estimates import (
    compute_ratio,
    compute_to_reach,
    gain,
    gain_at,
    gain_difference,
    gain_difference_at,
)
from dina_lrm.experiments.alignment.guided import GUIDED, GuidedBase, guided_base
from dina_lrm.experiments.alignment.page import AlignmentResults
from dina_lrm.experiments.alignment.runs import AlignmentBudget, study_config
from dina_lrm.experiments.alignment.studies import ALIGNMENT_STUDIES, ALIGNMENT_VARIANTS, variants_of
from dina_lrm.experiments.cells import load_cells
from dina_lrm.experiments.page import write_results
from dina_lrm.locate import BUNDLED_LORAS
from dina_lrm.synthetic.captions import distinct_captions
from tests.alignment.runs import DPO, PROMPTS, REFL, a_generator

STEPS = (0, 5, 10, 15, 20)


def summary(mean):
    return Summary(mean, 1.0, 0.1, 4)


def a_cell(variant, seed, rise, pictures=40, spread=0.1):
    """Pictures that each gain about `rise` from the first to the last look; the objective always rises."""
    rng = np.random.default_rng([seed, len(variant)])
    base = np.random.default_rng(0).normal(-2, 0.5, pictures)
    records, rows = [], {name: [] for name in TRUTH}
    for number, step in enumerate(STEPS):
        values = base + rise * number / (len(STEPS) - 1) + (number > 0) * rng.normal(0, spread, pictures)
        for name in TRUTH:
            rows[name].append(tuple(values.round(4).tolist()))
        judges = {"objective": summary(0.5 * number), "cnn": summary(-4 + 0.1 * number)}
        truth = {"utility": summary(float(values.mean()))}
        records.append(Record(step, pictures, pictures, "objective", "cnn", judges, {}, truth))
    config = ALIGNMENT_VARIANTS[variant].config().to_dict()
    truth = {name: tuple(looks) for name, looks in rows.items()}
    return AlignedCell(variant, seed, config, tuple(records), truth, 10.0, {"torch": "2"})


def written(out, names, seeds, command):
    return write_results(AlignmentResults.of(out, seeds), out, names, command)


def cells_of(*found):
    return {cell.name: cell for cell in found}


def test_a_gain_is_taken_on_the_same_pictures_and_covers_the_truth():
    cells = cells_of(*(a_cell("refl", seed, 0.3) for seed in range(3)))
    found = gain(cells, "refl")
    # Pictures differ by .5; what each gains is known to a tenth of that
    assert found.n == 3 and found.low < 0.3 < found.high and found.high - found.low < 0.2
    assert gain(cells, "refl", look=0).value == 0
    assert gain(cells, "lpo") is None


def test_a_difference_is_antisymmetric_and_of_the_seeds_that_both_have():
    cells = cells_of(*(a_cell("refl", seed, 0.3) for seed in range(3)), *(a_cell("hacked", s, -0.4) for s in (1, 2)))
    ahead, behind = gain_difference(cells, "refl", "hacked"), gain_difference(cells, "hacked", "refl")
    assert ahead.value == pytest.approx(-behind.value) and ahead.n == 2
    assert ahead.low < 0.7 < ahead.high and ahead.beyond() == 1
    assert gain_difference(cells, "refl", "dpo") is None


def test_a_cell_is_read_as_it_was_written_and_a_foreign_file_is_named(tmp_path):
    cell = a_cell("refl", 1, 0.2)
    cell.save(tmp_path)
    assert load_cells(AlignedCell, tmp_path) == {"refl.seed-1": cell}
    (tmp_path / "lpo.seed-0.json").write_text("{}")
    with pytest.raises(ValueError, match=r"lpo.seed-0.json: not a cell"):
        load_cells(AlignedCell, tmp_path)


def test_the_page_says_what_holds_what_alarmed_and_what_was_not_measured(tmp_path):
    out = tmp_path / "alignment"
    for seed in range(2):
        a_cell("refl", seed, 0.3).save(out / "cells")
        a_cell("hacked", seed, -0.4, spread=0.01).save(out / "cells")
    a_cell("kl", 0, 0.1).save(out / "cells")
    save_costs({name: AlignmentCost(2e12, 1e12) for name in ALIGNMENT_VARIANTS}, out / "costs.json")
    page = written(out, tuple(ALIGNMENT_STUDIES), (0, 1), "dina-lrm align study all").read_text()
    assert "| ReFL with the latent reward raises the true utility. | holds | +0.3" in page
    line = next(line for line in page.splitlines() if line.startswith("| The latent reward is ahead"))
    assert "| not measured | |" in line
    line = next(line for line in page.splitlines() if "this remedy: KL" in line)
    assert "| one seed only |" in line
    # 2 TFLOPs for the first update and 1 for each of the other 19
    assert any(line.startswith("| no remedy | 20 | 21.00 | 0.00 → 2.00") for line in page.splitlines())
    # The golden judge rises as fast as the objective: without the truth nothing is heard, and nothing rolled back
    line = next(line for line in page.splitlines() if line.startswith("| no remedy | 0 of 2 |"))
    assert "| 2 of 2, first at 20: utility falls while proxy rises |" in line
    _, _, _, _, best, kept, end, _ = line.split("|")
    assert best.endswith(", at 0, 0 ") and kept.endswith(", at 20, 20 ") and "−0.40" in end and "−0.40" in kept
    for name in ("rewards.png", "rewards-compute.png", "hacking.png"):
        assert (out / "plots" / name).stat().st_size > 5_000
    found = json.loads((out / "results.json").read_text())
    assert found["rewards"]["claims"][0]["verdict"] == "holds" and "preferences" not in found
    a_cell("lpo", 0, 0.1, pictures=12).save(out / "cells")
    with pytest.raises(ValueError, match="different prompts"):
        written(out, ("preferences",), (0,), "")
    with pytest.raises(ValueError, match="holds no cell of algorithms"):
        written(tmp_path / "none", ("algorithms",), (0,), "")


def saturating(cell):
    """The same run with a golden judge that rises less and less: its pace is half of the first at step 10."""
    records = []
    for number, record in enumerate(cell.records):
        golden = -4 + 0.4 * number - 0.05 * number**2
        records.append(replace(record, judges={**record.judges, "cnn": summary(golden)}))
    return replace(cell, records=tuple(records))


def test_what_is_heard_without_the_truth_and_kept_by_it():
    cell = a_cell("hacked", 0, -0.4, spread=0.01)
    assert heard(cell, truth=False) == [] and rolled_back(cell) == len(STEPS) - 1 and best_look(cell) == 0
    assert {finding.kind for finding in heard(cell, truth=True)} == {"utility falls while proxy rises"}
    lagging = saturating(cell)
    (found,) = heard(lagging, truth=False)
    assert found.kind == "golden lags while proxy rises" and found.step == 20 and found.since == 10
    assert STEPS[rolled_back(lagging)] == 10
    kept, end = (gain(cells_of(lagging), "hacked", look=look) for look in (rolled_back, -1))
    assert kept.value == pytest.approx(-0.2, abs=0.01) and end.value == pytest.approx(-0.4, abs=0.01)


def test_at_equal_compute_gains_lie_between_the_looks_and_the_best_run_comes_first(tmp_path):
    rises = {"recipe": 0.3, "best": 0.8, "nft": -0.1}
    cells = cells_of(*(a_cell(name, seed, rise, spread=0.0) for name, rise in rises.items() for seed in range(2)))
    costs = {"recipe": AlignmentCost(1.0, 1.0), "best": AlignmentCost(2.0, 2.0), "nft": AlignmentCost(9.0, 0.5)}
    # The recipe has 20 updates of 1: so have half of the winner's, and nft is over after 18.5
    assert gain_at(cells, "best", 20.0, costs["best"]).value == pytest.approx(0.4, abs=1e-3)
    assert gain_at(cells, "nft", 20.0, costs["nft"]).value == gain(cells, "nft").value
    assert gain_at(cells, "best", 0.0, costs["best"]).value == 0
    assert gain_at(cells, "nft", 8.9, costs["nft"]).value == 0  # it still draws
    assert gain_at(cells, "best", 15.0, costs["best"]).value == pytest.approx(0.3, abs=1e-3)  # between two looks
    ahead = gain_difference_at(cells, ("best", "recipe"), 20.0, costs)
    assert ahead.value == pytest.approx(0.1, abs=1e-3)
    assert gain_difference_at(cells, ("best", "lpo"), 20.0, costs) is None
    table = equal_compute_table(ALIGNMENT_STUDIES["objectives"], cells, costs)
    assert [row[0] for row in table.rows] == [ALIGNMENT_VARIANTS[name].label for name in ("best", "recipe", "nft")]
    assert [row[2] for row in table.rows] == ["10", "20", "20"] and "+0.40" in table.rows[0][3]
    assert equal_compute_table(ALIGNMENT_STUDIES["hacking"], cells, costs) is None
    assert equal_compute_table(ALIGNMENT_STUDIES["objectives"], cells, {}) is None


def test_guidance_without_learning_is_measured_on_the_pictures_of_the_first_look(tmp_path):
    config = study_config("distill-guidance", 0, AlignmentBudget(None, 2))
    prompts = distinct_captions(np.random.default_rng(0), 2)
    found = guided_base(config, prompts, ((3, 1.0), (3, 3.0)))
    assert found.gain(found.looks[0], "utility").value == 0 and len(found.looks[1].truth["quality"]) == 2
    found.save(tmp_path / GUIDED)
    assert GuidedBase.load(tmp_path / GUIDED) == found and GuidedBase.load(tmp_path / "none.json") is None
    assert [row[:3] for row in found.table().rows] == [["3", "3", "6"]]


def test_a_ratio_of_compute_has_an_interval_that_widens_with_the_noise():
    costs = {"refl": AlignmentCost(1.0, 1.0), "lpo": AlignmentCost(2.0, 2.0)}
    widths = []
    for spread in (0.02, 0.3):
        runs = [(name, rise) for name, rise in (("refl", 0.4), ("lpo", 0.2))]
        cells = cells_of(*(a_cell(name, seed, rise, spread=spread) for seed in range(3) for name, rise in runs))
        found = compute_ratio(cells, "refl", "lpo", costs)
        # Half of the updates, each at half the price
        assert found.low <= found.value <= found.high
        widths.append(found.high - found.low)
        if spread < 0.1:
            assert found.value == pytest.approx(4, rel=0.15) and found.low > 2
    assert widths[1] > 2 * widths[0]
    assert compute_ratio(cells_of(a_cell("refl", 0, 0.1), a_cell("lpo", 0, -0.5)), "refl", "lpo", costs) is None


def test_the_compute_that_reaches_a_gain_lies_between_the_looks():
    cells = cells_of(a_cell("refl", 0, 0.4, spread=0.0), a_cell("lpo", 0, 0.1, spread=0.0))
    cost = AlignmentCost(1.0, 1.0)
    # A rise of .1 every five updates
    assert compute_to_reach(cells, "refl", 0.15, cost) == pytest.approx(7.5, abs=0.01)
    assert compute_to_reach(cells, "refl", 0.4, cost) == pytest.approx(20, abs=0.01)
    assert compute_to_reach(cells, "lpo", 0.2, cost) is None


def test_a_cost_is_that_of_the_updates_and_of_what_is_drawn_once(tmp_path):
    # One step that it learns from, so that updates cost the same
    late = replace(REFL, refl=replace(REFL.refl, first=3))
    refl = alignment_cost(late, a_generator(), PROMPTS, more=1)
    assert refl.after(0) == 0 and refl.after(1) == refl.first and refl.after(5) == refl.first + 4 * refl.update
    assert refl.first == pytest.approx(refl.update, rel=0.01)
    offline = alignment_cost(DPO, a_generator(), PROMPTS, more=1)
    assert offline.first > 2 * offline.update > 0
    save_costs({"refl": refl}, tmp_path / "costs.json")
    assert load_costs(tmp_path / "costs.json") == {"refl": refl} and load_costs(tmp_path / "none.json") == {}


@pytest.mark.parametrize("name", ALIGNMENT_VARIANTS)
def test_every_variant_is_a_complete_run_of_the_uncurated_generator(name):
    config = study_config(name, 2, AlignmentBudget(None, 8))
    assert config.seed == 2 and config.looks.prompts == 8 and config.generator.pretrained in BUNDLED_LORAS
    assert config.looks.golden not in {term.name for term in config.rewards} and config.looks.golden
    assert config.steps // config.looks.every + 1 >= 5 or config.steps < 5 * config.looks.every
    assert type(config).from_dict(config.to_dict()) == config


def test_every_finding_is_about_a_run_of_its_study():
    assert set(variants_of(tuple(ALIGNMENT_STUDIES))) == set(ALIGNMENT_VARIANTS)
    for study in ALIGNMENT_STUDIES.values():
        named = {claim.better for claim in study.claims} | {claim.worse for claim in study.claims if claim.worse}
        assert named | set(study.pictures) <= set(study.variants)


@pytest.mark.slow
def test_the_command_runs_what_is_missing_and_writes_the_page(tmp_path, capsys):
    out = tmp_path / "alignment"
    a_cell("grpo-fast", 0, 0.1, pictures=2).save(out / "cells")
    save_costs({"grpo-fast": AlignmentCost(2e12, 1e12)}, out / "costs.json")
    there = out / "cells" / "grpo-fast.seed-0.json", out / "cells" / "refl.seed-0.json"
    before = there[0].read_bytes()
    small = ["--steps", "1", "--looked-at", "2", "--seeds", "0", "--workers", "1", "--quiet"]
    words = ["align", "study", "algorithms", *small, "--out", str(out)]
    assert main(words) == 0
    cells = load_cells(AlignedCell, out / "cells")
    assert set(cells) == {"grpo-fast.seed-0", "refl.seed-0"} and there[0].read_bytes() == before
    made = cells["refl.seed-0"]
    assert made.steps() == [0, 1] and len(made.values("utility", 0)) == 2
    assert set(load_costs(out / "costs.json")) == {"grpo-fast", "refl"}
    assert "| ReFL, latent reward | 1 | 0.0" in (tmp_path / "alignment.md").read_text()
    times = [path.stat().st_mtime_ns for path in there]
    assert main(words) == 0
    assert [path.stat().st_mtime_ns for path in there] == times


def test_a_bad_name_or_number_is_refused_first(tmp_path, capsys):
    for wrong, error in (
        ([], "no study was named; accepted: rewards"),
        (["fame"], "study 'fame'; accepted: rewards"),
        (["rewards", "--steps", "0"], "--steps 0"),
        (["rewards", "--seeds", "1", "1"], "--seeds 1 1"),
    ):
        assert main(["align", "study", *wrong, "--out", str(tmp_path / "none")]) == 2
        assert error in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
