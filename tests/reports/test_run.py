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


TRAINING = {"measured": {"accuracy": 0.75, "pairs": 560, "ties": 0}, "measured_on": "validation"}


@pytest.mark.parametrize(
    ("told", "opening"),
    [
        ({**TRAINING, "measured_prompts": 20}, "Learned: 75.0 % of 560 held-out pairs are ranked right (53.1 to 88.8"),
        ({**TRAINING, "measured_prompts": 1}, "Learned: 75.0 % of 560 held-out pairs"),
        ({**TRAINING, "measured_prompts": 3}, "Not decided with 3 prompts: 75.0 %"),
        (TRAINING, "Not known: 75.0 % of 560 held-out pairs are ranked right; of how many prompts is not recorded"),
        ({**TRAINING, "measured_on": "training"}, "Not known: 75.0 % of 560 training pairs are ranked right, and none"),
        ({"measured": {"pairs": 0}, "measured_on": "validation", "measured_prompts": 2}, "Not known: the loss"),
    ],
)  # fmt: skip
def test_the_page_opens_with_what_the_model_was_measured_to_be(run: Path, told: dict, opening: str) -> None:
    assert "Not finished: 8 steps are done, and there is no model yet." in Page(write_run_report(run).read_text()).text
    (run / "model").mkdir()
    (run / "model" / "config.json").write_text(json.dumps({"notes": {"training": told}}))
    page = Page(write_run_report(run).read_text())
    assert opening in page.text and "the loss went from 1.000 to 0.125 in 8 steps" in page.text
