"""The part of an alignment report on win rates: its verdict is that of the last look, its curves are all that know."""

from dataclasses import replace

import pytest

from dina_lrm.alignment.monitor.pair_calibration import TRUTH
from dina_lrm.alignment.monitor.records import PairCalibration, read_records, write_records
from dina_lrm.reports.alignment import write_alignment_report
from dina_lrm.reports.win_rates import win_rate_curves, win_rate_section
from tests.reports.aligned import aligned_folder
from tests.reports.page import Page

TITLE = "Are the win rates calibrated?"
NONE = PairCalibration(0, 16, None, None, None, None, None)


def with_win_rates(records, **judges):
    """The records with what a look found, by judge, surer at each."""
    return [
        replace(
            record,
            win_rates={
                "latent:x": {
                    judge: found if not found.pairs else replace(found, confidence=found.confidence + number / 100)
                    for judge, found in judges.items()
                }
            },
        )
        for number, record in enumerate(records)
    ]


def test_the_report_says_whether_the_win_rates_were_calibrated(tmp_path):
    folder = aligned_folder(tmp_path / "run")
    assert TITLE not in Page(write_alignment_report(folder).read_text()).text
    found = PairCalibration(16, 2, 0.87, 0.7, 0.05, 0.2, 0.1)
    write_records(folder, with_win_rates(read_records(folder), **{TRUTH: replace(found, ece_floor=0.0), "clip": NONE}))
    text = Page(write_alignment_report(folder).read_text()).text
    told = (
        "Step 30. By true utility, latent:x was overconfident: sure of 90 % in the mean, right in 70 % of 16 pairs; "
        "the difference in points is +20 (+10 to +30). clip told no winner of 16 pairs: whether latent:x was too sure "
        "is not known."
    )
    assert TITLE in text and told in text


def test_curves_are_of_judges_that_told_winners_and_a_missing_error_has_no_band(tmp_path):
    records = read_records(aligned_folder(tmp_path / "run"))
    assert win_rate_section(records) is None
    few = PairCalibration(2, 0, 0.8, 0.5, None, 0.3, 0.2)
    told = with_win_rates(records, clip=few, none=NONE)
    [panel] = win_rate_curves(told).axes
    sure, right = panel.lines[:2]
    assert list(sure.get_ydata()) == pytest.approx([0.8, 0.81, 0.82, 0.83])
    assert list(right.get_ydata()) == [0.5] * 4
    section = win_rate_section(told)
    assert "asked about too few prompts to tell" in section.blocks[0].body
    nobody = win_rate_section(with_win_rates(records, none=NONE))
    assert len(nobody.blocks) == 2, "no curves where nobody told a winner"
