"""A sample of the bad inputs that `python -m benchmarks fuzz` makes by the thousand, and the judge itself."""

import random

import pytest

from benchmarks.fuzz import run, table
from benchmarks.fuzzing.cases import KINDS, Case, make
from benchmarks.fuzzing.judging import faults_of

CALM = ("option", "word", "name", "table", "prompts", "picture")
SEED = 11
GOOD = "checking: 1/1\ndina-lrm data check: error: c.jsonl, line 2: bad\n"


@pytest.mark.slow
def test_bad_inputs_end_in_a_line_and_an_exit_code(tmp_path, warm_programs):
    kinds = [kind for kind in KINDS if kind in CALM]
    asked = [(number, kinds[number % len(kinds)]) for number in range(40)]
    ended = list(run(tmp_path, asked, SEED, warm_programs / "python"))
    assert len(ended) == 40
    assert [(one.kind, one.number, one.words, one.faults) for one in ended if one.faults] == []
    assert len(table(ended).splitlines()) == len(kinds) + 1


@pytest.mark.parametrize(
    ("code", "err", "fault"),
    [
        (2, GOOD, None),
        (0, "", None),
        (None, "", "it broke off"),
        (1, "Traceback (most recent call last):\n" + GOOD, "a traceback"),
        (2, "c10::Error\n" + GOOD, "words of C++"),
        (2, "something went wrong\n", "0 lines that say the error"),
        (2, GOOD + GOOD, "2 lines that say the error"),
        (2, GOOD + "and more\n", "more after the error"),
        (2, GOOD.replace("c.jsonl", "it"), "the file is not named"),
        (2, "x.py:3: UserWarning: a\n" + GOOD, "words of a library"),
        (1, GOOD.replace("bad", "out of memory"), "out of memory"),
        (1, "dina-lrm score: error: KeyError: 'c.jsonl'\n", "a word of Python"),
        (3, GOOD, "exit code 3"),
    ],
)
def test_the_judge_sees_every_fault(code, err, fault, tmp_path):
    found = faults_of(Case([], "", names=("c.jsonl",)), tmp_path, code, "", err)
    assert found == [] if fault is None else any(one.startswith(fault) for one in found)


def test_the_judge_sees_litter_stale_results_and_dishonest_ones(tmp_path):
    (tmp_path / "result.json").write_text('{"accuracy": 1}')
    (tmp_path / ".dina-lrm.7.0123456789ab.tmp").touch()
    faults = faults_of(Case([], "", honest=lambda _: "3 rows of 4"), tmp_path, 0, "", "")
    assert faults[0] == "3 rows of 4" and faults[1].startswith("litter") and len(faults) == 2
    assert any("--json says" in one for one in faults_of(Case([], ""), tmp_path, 2, "", GOOD))


@pytest.mark.parametrize("kind", ["option", "word", "name"])
def test_an_input_follows_from_its_seed(kind, tmp_path):
    bed = tmp_path / "bed"
    for name in ("images", "model", "cache"):
        (bed / name).mkdir(parents=True)
    (bed / "images" / "a.png").touch()
    for name in ("comparisons.jsonl", "prompts.txt"):
        (bed / name).touch()
    one, other = (make(kind, bed, tmp_path / place, random.Random("7")) for place in ("one", "other"))
    assert one == other
