"""A plan in Python: what it refuses, what it keeps, and that a failure does not lose the rest."""

from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import write_comparisons
from dina_lrm.evaluation.named_sets import named_sets
from dina_lrm.evaluation.plan import EvaluationPlan, MeasurementFailure


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("plan"), np.random.default_rng(0)
    names = [folder / f"{number}.png" for number in range(4)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(name)
    write_comparisons(folder / "pairs.jsonl", [Comparison(f"p{n}", names[n], names[n + 1], 1.0) for n in range(3)])
    return str(folder / "pairs.jsonl")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"judges": ()}, "judges: none; accepted: one or more"),
        ({"judges": ("sharpness", "sharpness")}, "each once"),
        ({"draws": 0}, "draws 0"),
        ({"draws": 3, "antithetic": True}, "even antithetic draws"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"convention": "mine"}, "mine"),
        ({"ensembles": ((0.2,),)}, "two or more noise levels"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        EvaluationPlan(**{"judges": ("sharpness",), "sets": (), **settings})


def test_what_was_measured_is_not_measured_again(pairs, tmp_path):
    titles = []

    @contextmanager
    def watched(title):
        titles.append(title)
        yield lambda done, total: titles.append((done, total))

    plan = EvaluationPlan(("sharpness", "jpeg-size"), named_sets(pairs))
    first = plan.run(tmp_path, watched, "by hand")
    assert titles == ["sharpness on pairs", (3, 3), "jpeg-size on pairs", (3, 3)]
    assert [result.command for result in first.results] == ["by hand"] * 2
    titles.clear()
    again = plan.run(tmp_path, watched)
    assert titles == [] and [r.sets for r in again.results] == [r.sets for r in first.results]
    assert [found.pairs for found in (again.differences[0].found,)] == [3]
    assert again.pictures("pairs", 0)[0].shape == (32, 32, 3)


def test_a_failure_is_noted_among_others_and_raised_alone(pairs):
    judge = "python:tests.rewards.functions.too_few"
    found = EvaluationPlan(("sharpness", judge), named_sets(pairs)).run()
    assert [result.model for result in found.results] == ["sharpness"]
    (failure,) = found.failures
    assert isinstance(failure, MeasurementFailure) and (failure.model, failure.set) == (judge, "pairs")
    assert found.to_dict()["failures"] == [{"model": judge, "set": "pairs", "error": failure.error}]
    with pytest.raises(ValueError, match=failure.error[:20].replace("(", ".").replace("[", ".")):
        EvaluationPlan((judge,), named_sets(pairs)).run()


def test_sets_are_found_by_name(pairs, tmp_path):
    assert [found.name for found in named_sets(f"synthetic:in_domain, {pairs}")] == ["in_domain", "pairs"]
    assert len(named_sets("synthetic")) > 2 and all(found.path is None for found in named_sets("synthetic"))
    for on, message in (
        ("", "names no set"),
        (f"{pairs},{pairs}", "two sets are called 'pairs'"),
        ("nowhere", "no such"),
    ):
        with pytest.raises(ValueError, match=f"where.*{message}"):
            named_sets(on, option="where")
