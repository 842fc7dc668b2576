"""The report of an alignment run: its verdict is what looks say, its pictures and settings are what it says."""

import numpy as np
import pytest

from dina_lrm.alignment.monitor.alarm import Finding
from dina_lrm.alignment.monitor.records import read_records
from dina_lrm.evaluation.interval import Interval
from dina_lrm.reports.alignment import alignment_verdict, write_alignment_report
from tests.reports.aligned import PROMPTS, aligned_folder
from tests.reports.page import Page

NOT_REAL = "Not real: the optimised reward rose, but clip fell by"
CASES = [(0.5, "Better: clip rose by", 1), (-0.5, NOT_REAL, -1), (0.0, "Not decided with 12 prompts", 0)]


@pytest.mark.parametrize(("golden", "opening", "standing"), CASES)
def test_the_golden_judge_decides_where_nobody_knows_the_truth(tmp_path, golden, opening, standing):
    folder = aligned_folder(tmp_path / "run", golden)
    verdict = alignment_verdict(read_records(folder), PROMPTS)
    assert verdict.text.startswith(opening) and verdict.standing == standing
    page = Page(write_alignment_report(folder, "dina-lrm align x").read_text())
    assert verdict.text in page.text and "dina-lrm align x" in page.text
    assert "6 of 12 pictures at even distances: none was picked." in page.text
    assert "30 (recipe: 40)" in page.text and "vote.html" in page.addresses
    assert len(page.images) == 6 * 4 and (folder / "vote.html").is_file()


def test_the_truth_speaks_before_the_golden_judge_and_alarms_are_named(tmp_path):
    records = read_records(aligned_folder(tmp_path / "run"))
    fell = Interval(-0.3, -0.5, -0.1, 12)
    alarm = Finding("golden falls while proxy rises", "Sentence.", 20, 10, -1.0, 0.1)
    verdict = alignment_verdict(records, PROMPTS, [alarm], fell)
    assert verdict.standing == -1 and verdict.text == (
        "Not real: the optimised reward rose, but true utility fell by 0.30 (0.10 to 0.50) on 12 prompts; clip says "
        "the opposite. An alarm sounded at step 20: golden falls while proxy rises."
    )
    assert alignment_verdict(records[:1], PROMPTS).text == "Not decided: the generator was looked at once."


def test_no_golden_judge_and_no_truth_leave_it_open(tmp_path):
    records = read_records(aligned_folder(tmp_path / "run", prompts=PROMPTS[:2]))
    alone = [type(one)(**{**vars(one), "golden": None}) for one in records]
    assert alignment_verdict(alone, PROMPTS[:2]).standing == 0
    assert "no other judge was asked" in alignment_verdict(alone, PROMPTS[:2]).text
    nan = alignment_verdict(records, PROMPTS[:2], gain=Interval(float(np.nan), None, None))
    assert nan.standing <= 1 and "true utility gave no score" in nan.text


def test_looks_are_compared_picture_by_picture_where_their_scores_are_known(tmp_path):
    paired, apart = (read_records(aligned_folder(tmp_path / name, paired=name == "p")) for name in "pq")
    assert alignment_verdict(paired, PROMPTS).standing == 1
    told = alignment_verdict(apart, PROMPTS)
    assert told.standing == 0 and "clip changed by +1.5" in told.text, "prompts differ more than looks do"
