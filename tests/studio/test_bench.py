"""Works on a bench: one at a time in their order, watched, and stopped at their next report."""

import threading
from contextlib import contextmanager
from functools import partial

import pytest

from dina_lrm import LatentRewardModel
from dina_lrm.evaluation.generators.plan import GeneratorPlan
from dina_lrm.studio.bench import MOST_WAITING, Bench, WorkStopped
from dina_lrm.studio.hacked.of_generators import sides_of_generators
from dina_lrm.studio.why.explanation import explain
from dina_lrm.studio.why.given import Reading
from dina_lrm.synthetic.prompts import judged_prompts
from dina_lrm.synthetic.sets import synthetic_comparisons
from dina_lrm.typed import DinaError

LONG = 60
"""Seconds that a test waits for what comes at once."""


def everyone(owner):
    return True


def held(gate, entered=None):
    """A work of many steps, which waits for `gate` after the first."""

    def task(work):
        with work.part("steps") as report:
            for step in range(1, 101):
                report(step, 100)
                if entered is not None:
                    entered.set()
                assert gate.wait(LONG)
        return "whole"

    return task


def test_a_work_tells_its_parts_and_what_came_of_it():
    def task(work):
        with work.part("pictures drawn") as report:
            report(3, 4)
        with work.part("compared"):
            return 7

    work = Bench().begin("a", task)
    assert work.wait(LONG) and work.outcome() == 7
    told = work.told()
    assert list(map(str, told.parts)) == ["pictures drawn 3 of 4", "compared"] and str(told.now) == "compared"
    assert told.done == "pictures drawn 3 of 4" and not told.stopping


def test_what_goes_wrong_is_raised_to_who_asks_and_the_next_one_begins():
    def failing(work):
        raise DinaError("no such folder")

    bench = Bench()
    first, second = bench.begin("a", failing), bench.begin("b", lambda work: "fine")
    assert first.wait(LONG) and second.wait(LONG) and second.outcome() == "fine"
    with pytest.raises(DinaError, match="no such folder"):
        first.outcome()


def test_works_take_turns_and_one_that_waits_is_stopped_before_it_begins():
    bench, gate, entered, order = Bench(), threading.Event(), threading.Event(), []
    first = bench.begin("first", held(gate, entered), "ada")
    assert entered.wait(LONG)
    second = bench.begin("second", lambda work: order.append("second"), "bob")
    third = bench.begin("third", lambda work: order.append("third"), "ada")
    assert bench.before(first) == () and bench.before(third) == (first, second)
    assert bench.stop(lambda owner: owner == "bob") == (second,)
    assert second.wait(LONG) and not first.ended and not third.ended
    with pytest.raises(WorkStopped):
        second.outcome()
    gate.set()
    assert third.wait(LONG) and first.outcome() == "whole" and order == ["third"]


def test_a_stop_ends_at_the_next_report_and_says_what_was_done():
    bench, gate, entered = Bench(), threading.Event(), threading.Event()
    work = bench.begin("a", held(gate, entered))
    assert entered.wait(LONG)
    bench.stop(everyone)
    assert work.told().stopping
    gate.set()
    assert work.wait(LONG) and work.told().done == "steps 2 of 100", "the step that went on is counted"
    with pytest.raises(WorkStopped):
        work.outcome()


def test_too_many_are_refused_with_a_sentence_and_closing_stops_all():
    bench, gate = Bench(), threading.Event()
    works = [bench.begin("w", held(gate)) for _ in range(MOST_WAITING + 1)]
    with pytest.raises(DinaError, match=f"{MOST_WAITING} others wait already"):
        bench.begin("one more", held(gate))
    threading.Timer(0.05, gate.set).start()
    bench.close(LONG)
    assert all(work.ended for work in works)


@pytest.mark.slow
def test_drawing_ends_within_a_step_of_the_sampler(tmp_path):
    """The stop comes in the middle of a block: what was drawn before is kept, and the same plan goes on from there."""
    bench, heard = Bench(), []
    prompts = judged_prompts("synthetic", 0, 2)
    plan = GeneratorPlan("synthetic", "synthetic-uncurated", prompts, ("sharpness",), 2, steps=6)

    def task(work):
        @contextmanager
        def part(title):
            with work.part(title) as report:
                yield report if title != "pictures drawn, tuned" else partial(watched, report)

        def watched(report, done, total):
            heard.append((done, total))
            if len(heard) == 2:
                bench.stop(everyone)
            report(done, total)

        return sides_of_generators(plan, tmp_path / "kept", part)

    work = bench.begin("draw", task)
    assert work.wait(LONG)
    with pytest.raises(WorkStopped):
        work.outcome()
    assert heard == [(0, 4), (0, 4)], "of six steps the second is the last"
    assert work.told().done == "pictures drawn, base 4 of 4"
    assert [path.name for path in (tmp_path / "kept").glob("*.npz")] == ["base-00000.npz"]
    assert plan.run(tmp_path / "kept").blocks_kept == 1


def test_an_explanation_ends_within_an_edit():
    bench, model = Bench(), LatentRewardModel.from_pretrained("synthetic")
    picture = synthetic_comparisons("in_domain", 4, 0).images[0]

    def task(work):
        def part(title):
            if title == "edits of the prompt scored":
                bench.stop(everyone)
            return work.part(title)

        return explain(model, picture, "two large red rings on white", reading=Reading(draws=2), progress=part)

    work = bench.begin("explain", task)
    assert work.wait(LONG)
    with pytest.raises(WorkStopped):
        work.outcome()
    assert str(work.told().now) == "draws of the attention 2 of 2"
