"""Names, prompts and commands that hold markup are text on every page, and add no element, link or script to it."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dina_lrm.reports.evaluation import write_evaluation_report
from dina_lrm.reports.generators import write_generator_report
from dina_lrm.reports.leaderboard import write_leaderboard
from dina_lrm.reports.run import write_run_report
from tests.reports.page import Page
from tests.reports.simulated import simulated_result
from tests.reports.test_generators import OPTIMISED, result
from tests.reports.test_html import pair_images

MARKUP = (
    '"><injected></script><script>alert(1)</script><svg onload=alert(1)></svg></title></style>'
    "--><img src=x onerror=alert(1)> [a](javascript:alert(1)) ![b](http://outside/x.png) **b** {{ 7 * 7 }}"
)
PLAIN = "a name"


def evaluated(name: str):
    found = simulated_result(name, pairs=60)
    sets = tuple(
        replace(one, name=f"{name} {n}", disagreements=tuple(replace(d, prompt=name) for d in one.disagreements))
        for n, one in enumerate(found.sets)
    )
    return replace(found, sets=sets, command=name)


def evaluation(folder: Path, name: str) -> Path:
    return write_evaluation_report(folder / "evaluation.html", [evaluated(name)], pair_images)


def leaderboard(folder: Path, name: str) -> Path:
    return write_leaderboard(folder / "leaderboard.html", [evaluated(name)])


def run(folder: Path, name: str) -> Path:
    (folder / "config.json").write_text(json.dumps({"train": {"name": name, name: name}, "data": [name]}))
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n')
    return write_run_report(folder, [evaluated(name)], pair_images, command=name)


def generators(folder: Path, name: str) -> Path:
    found = replace(result(OPTIMISED), base=name, tuned=name, command=name)
    images = [np.zeros((2, 8, 8, 3), np.uint8)] * 2
    return write_generator_report(folder / "generators.html", found, [name, name], *images)


@pytest.mark.parametrize("write", [evaluation, leaderboard, run, generators])
def test_markup_is_text(write, tmp_path):
    pages = {}
    for name in (PLAIN, MARKUP):
        (folder := tmp_path / str(len(pages))).mkdir()
        pages[name] = Page(write(folder, name).read_text(encoding="utf-8"))
    plain, marked = pages[PLAIN], pages[MARKUP]
    assert "<injected>" in marked.text
    assert marked.unclosed == []
    added = Counter(marked.tags) - Counter(plain.tags)
    assert set(added) <= {"strong", "path", "g", "use", "defs", "tspan", "text"}, added
    assert not [one for one in marked.addresses if one.startswith("javascript:") or "outside" in one]
