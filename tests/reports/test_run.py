"""The report of a run is made of what the run wrote."""

import json
from pathlib import Path

import pytest
from PIL import Image

from dina_lrm.reports.first.settings import flat
from dina_lrm.reports.run import write_run_report
from dina_lrm.runs.metrics import read_lines
from tests.reports.page import Page
from tests.reports.simulated import simulated_result


@pytest.fixture
def run(tmp_path: Path) -> Path:
    record = {"train": {"name": "first", "optimizer": {"lr": 0.0003}, "taps": [2, 4]}, "data": {"pairs": 12}}
    (tmp_path / "config.json").write_text(json.dumps(record))
    lines = [{"step": step, "loss": 1 / step, "accuracy": None if step == 1 else 0.5} for step in range(1, 9)]
    lines.append({"step": 8, "validation_accuracy": 0.75})
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 9, "lo')
    return tmp_path


def test_curves_and_settings_are_shown(run: Path) -> None:
    page = Page(write_run_report(run, command="dina-lrm train first").read_text())
    assert page.unclosed == []
    for words in (
        "Training run first",
        "8 steps",
        "Loss",
        "Validation accuracy",
        "train.optimizer.lr",
        "0.0003",
        "2, 4",
    ):
        assert words in page.text, words
    assert "Learning rate" not in page.text
    with Image.open(run / "plots" / "training.png") as plot:
        assert plot.width > 300


def test_the_evaluation_of_the_trained_model_follows(run: Path) -> None:
    page = Page(write_run_report(run, [simulated_result(pairs=60)]).read_text())
    assert "Training" in page.text and "Bayes ceiling" in page.text
    assert len(page.ids) == len(set(page.ids))


def test_a_run_that_logged_nothing_has_a_report_too(run: Path) -> None:
    (run / "metrics.jsonl").write_text("")
    assert "Nothing was logged" in Page(write_run_report(run).read_text()).text


def test_a_line_that_a_kill_cut_off_is_skipped(run: Path) -> None:
    assert len(read_lines(run / "metrics.jsonl")) == 9


def test_settings_by_dotted_names() -> None:
    assert flat({"a": {"b": [1, 2], "c": None}, "d": "x"}) == {"a.b": "1, 2", "a.c": "None", "d": "x"}
