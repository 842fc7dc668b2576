"""Numbers of tables from cells made by hand: what is estimated, how wide it is, and what may be compared."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dina_lrm.experiments.ablations.cells import (
    Cell,
    CellReading,
    CellSet,
    CellUncertainty,
    packed,
    unpacked,
)
from dina_lrm.experiments.ablations.estimates import (
    MEAN,
    SETS,
    accuracy,
    calibration_gain,
    check_comparable,
    difference,
    uncertainty,
)
from dina_lrm.experiments.ablations.page import AblationResults
from dina_lrm.experiments.ablations.plots import sweep_plot
from dina_lrm.experiments.ablations.tables import ABLATIONS, Row, ablation, variants_of
from dina_lrm.experiments.ablations.variants import VARIANTS
from dina_lrm.experiments.cells import cell_name, load_cells
from dina_lrm.experiments.page import write_results

READINGS = ("0", "0.1", "0.2", "0.4", "0.6", "0.7", "0.8", "0.1+0.2+0.4")


def cell(variant, seed, right, **changes):
    """A cell whose pairs are ranked right as `right(set, reading)` says."""

    def reading(name, key):
        bits = right(name, key)
        return CellReading(packed(bits), float(bits.mean()), 0.1, 0.2, 0.5, 0.05, 0.02)

    sets = {
        name: CellSet(len(right(name, "0.2")), 3, 0.88, "hash", {key: reading(name, key) for key in READINGS})
        for name in SETS
    }
    made = Cell(variant, seed, 10, 20, {}, 5, 1.0, 2.0, sets, {"blur": 0.9}, {"torch": "2"})
    return Cell(**{**made.__dict__, **changes})


def cells_in(folder):
    return load_cells(Cell, folder)


def written(out, names, seeds, command):
    return write_results(AblationResults.of(out, seeds), out, names, command)


def judges(share, pairs=600, seed=0):
    generator = np.random.default_rng(seed)
    drawn = {(name, key): generator.random(pairs) < share for name in SETS for key in READINGS}
    return lambda name, key: drawn[name, key]


@given(arrays(bool, st.integers(0, 50)))
def test_bits_round_trip(right):
    np.testing.assert_array_equal(unpacked(packed(right), right.size), right.astype(float))


def test_cells_round_trip_and_a_foreign_file_is_named(tmp_path):
    made = cell("base", 0, judges(0.7))
    made.save(tmp_path)
    assert cells_in(tmp_path) == {"base.seed-0": made}
    (tmp_path / "other.seed-1.json").write_text(json.dumps({"steps": 3}))
    with pytest.raises((ValueError, TypeError), match=r"other\.seed-1|missing"):
        cells_in(tmp_path)


def test_an_accuracy_is_the_mean_over_seeds_and_its_interval_covers_the_truth():
    inside = 0
    for trial in range(60):
        cells = {cell_name("base", s): cell("base", s, judges(0.7, seed=100 * trial + s)) for s in range(3)}
        found = accuracy(cells, Row("base"), "in_domain", (0, 1, 2))
        mean = np.mean([c.sets["in_domain"].readings["0.2"].accuracy for c in cells.values()])
        assert found.value == pytest.approx(mean) and found.n == 3
        inside += found.low <= 0.7 <= found.high
    assert inside >= 51


def test_seeds_that_differ_widen_the_interval():
    alike = {cell_name("base", s): cell("base", s, judges(0.7, seed=s)) for s in range(3)}
    apart = {cell_name("base", s): cell("base", s, judges(0.6 + 0.1 * s, seed=s)) for s in range(3)}
    widths = [
        found.high - found.low for found in (accuracy(cells, Row("base"), MEAN, (0, 1, 2)) for cells in (alike, apart))
    ]
    assert widths[1] > 3 * widths[0]


def test_a_model_is_not_ahead_of_itself_and_a_difference_is_antisymmetric():
    cells = {cell_name(v, s): cell(v, s, judges(p, seed=s)) for v, p in (("base", 0.7), ("full", 0.75)) for s in (0, 1)}
    same = difference(cells, Row("base"), Row("base"), MEAN, (0, 1))
    assert (same.value, same.low, same.high, same.beyond()) == (0, 0, 0, 0)
    there = difference(cells, Row("full"), Row("base"), MEAN, (0, 1))
    back = difference(cells, Row("base"), Row("full"), MEAN, (0, 1))
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_pairs_that_both_rank_alike_say_nothing():
    """Ahead on two pairs in a hundred: decided where the rest is shared, lost in two independent intervals."""
    generator = np.random.default_rng(0)
    base = {name: generator.random(3000) < 0.7 for name in SETS}
    better = {name: bits | (generator.random(3000) < 0.06) for name, bits in base.items()}
    cells = {
        "base.seed-0": cell("base", 0, lambda name, key: base[name]),
        "full.seed-0": cell("full", 0, lambda name, key: better[name]),
    }
    gap = difference(cells, Row("full"), Row("base"), "in_domain", (0,))
    one, other = (accuracy(cells, Row(v), "in_domain", (0,)) for v in ("full", "base"))
    assert gap.beyond() == 1 and one.low < other.high


def test_only_seeds_that_both_were_trained_with_count():
    cells = {
        "base.seed-0": cell("base", 0, judges(0.7)),
        "base.seed-1": cell("base", 1, judges(0.7, seed=1)),
        "full.seed-1": cell("full", 1, judges(0.9, seed=2)),
    }
    assert difference(cells, Row("full"), Row("base"), MEAN, (0, 1)).n == 1
    assert difference(cells, Row("full"), Row("frozen"), MEAN, (0, 1)) is None


def test_cells_of_other_budgets_or_pairs_are_not_mixed():
    one = cell("base", 0, judges(0.7))
    with pytest.raises(ValueError, match="differ in their steps"):
        check_comparable({"base.seed-0": one, "full.seed-0": cell("full", 0, judges(0.7), steps=11)})
    other = cell("full", 0, judges(0.7))
    sets = {name: CellSet(s.pairs, 3, s.ceiling, "another", s.readings) for name, s in other.sets.items()}
    with pytest.raises(ValueError, match="different pairs of in_domain"):
        check_comparable({"base.seed-0": one, "full.seed-0": cell("full", 0, judges(0.7), sets=sets)})


def test_every_row_and_claim_is_about_a_variant_that_is_read_there():
    from dina_lrm.experiments.ablations.variants import MIRRORED, TWO_DRAWS

    for chosen in ABLATIONS.values():
        rows = [*chosen.rows, *(row for claim in chosen.claims for row in (claim.better, claim.worse))]
        for row in rows:
            variant = VARIANTS[row.variant]
            if variant.judge != "latent":
                assert row.reading == "pixels"
                continue
            together = "+".join(f"{level:g}" for level in variant.config().model.ensemble_levels)
            known = {f"{level:g}" for level in variant.levels} | {together}
            known |= {TWO_DRAWS, MIRRORED} if variant.draws else set()
            assert row.reading in known, row


def test_an_unknown_ablation_names_those_there_are():
    with pytest.raises(ValueError, match="ablation 'dept'; accepted: judges, adaptation, families, noise"):
        ablation("dept")
    assert variants_of(("depth", "taps")) == ["depth-2", "depth-4", "depth-6", "base", "no-text", "one-tap"]


def test_the_page_says_what_holds_and_what_was_not_measured(tmp_path):
    out = tmp_path / "found"
    for s in range(2):
        cell("base", s, judges(0.8, seed=s)).save(out / "cells")
        cell("frozen", s, judges(0.7, seed=10 + s)).save(out / "cells")
        cell("random", s, judges(0.9, seed=20 + s)).save(out / "cells")
    page = written(out, ("adaptation", "depth"), (0, 1), "dina-lrm ablate adaptation depth")
    text = page.read_text()
    assert page == tmp_path / "found.md"
    assert "| LoRA is ahead of a frozen backbone. | holds | +" in text and "| Table 3 |" in text
    assert "| does not hold |" in text and "| not measured |" in text
    for linked in ("plots/adaptation.png", "plots/depth.png"):
        assert f"(found/{linked})" in text and (out / linked).stat().st_size > 5_000
    found = json.loads((out / "results.json").read_text())
    assert [claim["verdict"] for claim in found["adaptation"]["claims"]] == ["holds", "does not hold"]


def test_a_legend_has_the_names_of_variants_whole():
    cells = {"base.seed-0": cell("base", 0, judges(0.7))}
    (axes,) = sweep_plot(ABLATIONS["noise-level"], cells, (0,)).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [VARIANTS["base"].label]


def test_table_4_is_the_mean_over_seeds_with_their_interval(tmp_path):
    rows = [tuple(CellUncertainty(t, 0.1 * t + x, 0.2 * t, 1.0, t * t) for t in (0.2, 0.8)) for x in (0.0, 0.02, 0.04)]
    for s, measured in enumerate(rows):
        cell("base", s, judges(0.7, seed=s), uncertainty=measured).save(tmp_path / "found" / "cells")
    cells = cells_in(tmp_path / "found" / "cells")
    assert cells["base.seed-1"].uncertainty == rows[1]
    found = uncertainty(cells, "base", 0.2, "vr_common", (0, 1, 2))
    assert (found.value, found.n) == (pytest.approx(0.04), 3)
    assert found.high - found.value == pytest.approx(4.303 * 0.02 / 3**0.5, rel=1e-3)
    page = written(tmp_path / "found", ("uncertainty",), (0, 1, 2), "dina-lrm ablate uncertainty").read_text()
    assert (
        "| 0.2 | 4.0 (−1.0 to 9.0) | 4.0 (4.0 to 4.0) | 1.000 (1.000 to 1.000) | 4.0e−02 (4.0e−02 to 4.0e−02) | 3 |"
        in page
    )
    assert (tmp_path / "found" / "plots" / "uncertainty.png").stat().st_size > 5_000
    with pytest.raises(ValueError, match=r"holds no cell of uncertainty"):
        written(tmp_path / "empty", ("uncertainty",), (0,), "none")


def test_a_gain_of_calibration_is_that_of_seeds_both_have():
    def with_error(variant, seed, ece):
        made = cell(variant, seed, judges(0.7, seed=seed))
        readings = {key: CellReading(r.right, r.accuracy, ece, 0.2, 0.5, 0.05, 0.02)
                    for key, r in made.sets["in_domain"].readings.items()}  # fmt: skip
        made.sets["in_domain"] = CellSet(600, 3, 0.88, "hash", readings)
        return made

    cells = {cell_name("base", s): with_error("base", s, 0.10 + 0.01 * s) for s in range(3)}
    assert calibration_gain(cells, Row("nll"), Row("base"), (0, 1, 2)) is None
    cells |= {cell_name("nll", s): with_error("nll", s, 0.02) for s in range(2)}
    found = calibration_gain(cells, Row("nll"), Row("base"), (0, 1, 2))
    assert (found.value, found.n) == (pytest.approx(0.085), 2)
    assert found.high - found.value == pytest.approx(12.706 * 0.00707107 / 2**0.5, rel=1e-3)
