"""Tables and verdicts of a tuned generator beside its base."""

import numpy as np

from dina_lrm.evaluation.generators.comparison import GeneratorComparison, PairedValues, compare, compare_groups
from dina_lrm.reports.blocks import Share
from dina_lrm.reports.generators import (
    composition_table,
    measures_table,
    result_tables,
    verdicts,
    wins_table,
    write_generator_report,
)
from tests.reports.page import Page

PROMPTS = np.arange(20)


def values(name, gain, kind="reward", role=""):
    base = np.linspace(0, 1, 20)
    return PairedValues(name, kind, base, base + gain + 0.009 * (-1.0) ** PROMPTS, PROMPTS, role)


def result(*given):
    return GeneratorComparison(
        "synthetic", "run/lora", "mine", 20, 1, 0, {"steps": "20"}, ("latent:a",), tuple(map(compare, given)),
        compare_groups(given, {"Category": ["x", "y"] * 10}), ("A note.",), {"torch": "2"}, "dina-lrm x", 1.0,
    )  # fmt: skip


OPTIMISED = values("latent:a", 0.5, role="optimised")


def test_verdicts_set_held_out_judges_and_the_truth_beside_what_is_optimised():
    given = [OPTIMISED, values("b", -0.3, role="held out"), values("c", 0.0, role="held out")]
    few = values("true quality", -0.01 + np.where(PROMPTS < 2, 0.1, 0.0), "truth")
    assert verdicts(result(*given, values("true utility", 0.2, "truth"), few)) == [
        "While latent:a rises, b falls: by it the gain is not real.",
        "While latent:a rises, c is not decided in the mean.",
        "While latent:a rises, true utility rises too.",
        "While latent:a rises, true quality is not decided in the mean, and loses most pairs.",
    ]
    assert verdicts(result(*given[1:])) == [] and verdicts(result(values("latent:a", -1.0, role="optimised"))) == []


def test_tables_hold_every_comparison_of_their_kind():
    found = result(
        OPTIMISED, values("true utility", 0.1, "truth"), values("colour", 0.1, "attribute"), values("s", 0.0, "measure")
    )
    wins, composition, measures = result_tables(found)
    assert [row[:2] for row in wins.rows] == [["latent:a", "optimised"], ["true utility", "oracle"]]
    assert wins.rows[0][5] == Share(found.find("latent:a").win_rate)
    assert [row[0] for row in composition.rows] == ["colour"] and composition.rows[0][3].signed
    assert [row[0] for row in measures.rows] == ["S"]
    assert (wins, composition, measures) == (wins_table(found), composition_table(found), measures_table(found))
    assert result_tables(result(values("s", 0.0, "measure"))) == [measures]


def test_the_page_has_groups_and_pictures_and_nothing_from_outside(tmp_path):
    images = np.zeros((2, 2, 8, 8, 3), np.uint8)
    path = write_generator_report(tmp_path / "r.html", result(OPTIMISED), ["a ring", "a <bar>"], *images)
    page = Page(path.read_text())
    assert len(page.images) == 4 and not page.unclosed and "a <bar>" in page.text and "Category" in page.text
    assert "objective: latent:a" in page.text and "A note." in page.text
