import json
import math

import pytest

from dina_lrm.runs.metrics import MetricsFile, read_lines
from dina_lrm.training.log import RunningMeans, StepLine
from dina_lrm.training.totals import PairTotals, ScoreTotals


def totals(**sums: float) -> ScoreTotals:
    return ScoreTotals("score", {"score": PairTotals(**sums)})


def test_lines_after_the_resumed_step_are_dropped(tmp_path):
    with MetricsFile(tmp_path) as metrics:
        for step in (1, 2, 3):
            metrics.write(step, {"loss": step / 10})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # cut off by a kill
    with MetricsFile(tmp_path, resumed_step=2) as metrics:
        metrics.write(3, {"loss": 0.5})
    assert read_lines(tmp_path / "metrics.jsonl") == [
        {"step": 1, "loss": 0.1},
        {"step": 2, "loss": 0.2},
        {"step": 3, "loss": 0.5},
    ]


def test_every_line_is_json_even_without_a_decided_pair(tmp_path):
    with MetricsFile(tmp_path) as metrics:
        metrics.write(1, {"accuracy": math.nan, "loss": 1.0})
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "accuracy": None, "loss": 1.0}


def test_means_are_over_pairs_and_not_over_batches():
    means = RunningMeans()
    means.add(totals(loss=6.0, weight=3.0, correct=1.0, decided=3.0, pairs=3.0, margin=3.0), 3, gradient_norm=1.0)
    means.add(totals(loss=1.0, weight=1.0, correct=1.0, decided=1.0, pairs=1.0, margin=5.0), 1, gradient_norm=3.0)
    found = means.take()
    assert (found["loss"], found["accuracy"], found["margin"]) == (7 / 4, 2 / 4, 8 / 4)
    assert found["gradient_norm"] == 2.0
    means.add(totals(loss=0.5, weight=1.0, pairs=1.0), 1, gradient_norm=1.0)
    assert math.isnan(means.read()["accuracy"])
    assert means.read()["loss"] == 0.5


def test_a_log_gets_a_line_every_tenth(capsys):
    with StepLine(total=40, done=0, shown=True) as bar:
        for step in range(1, 41):
            bar.advance(step, {"loss": 0.25, "accuracy": 0.5, "pairs_per_second": 12.0})
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 11 and lines[0] == "training: 0/40  0%"
    assert lines[-1] == "training: 40/40  100%  loss 0.2500  accuracy 0.500  12 pairs/s"


@pytest.mark.parametrize("shown", [False])
def test_a_quiet_bar_says_nothing(shown, capsys):
    with StepLine(total=4, done=0, shown=shown) as bar:
        bar.advance(4, {"loss": 0.25, "accuracy": 0.5, "pairs_per_second": 12.0})
    assert capsys.readouterr().err == ""
