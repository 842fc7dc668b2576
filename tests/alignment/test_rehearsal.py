"""What a rehearsed alignment would take, by hand; and that a rehearsal leaves nothing."""

from dataclasses import replace
from pathlib import Path

from dina_lrm.alignment.job import Aligned, AlignmentJob
from dina_lrm.alignment.rehearsal import expected_cost, rehearsal
from dina_lrm.alignment.run_folder import RunOutcome
from dina_lrm.data.held_out import HeldOut
from dina_lrm.data.prompt_sets import PromptSet
from tests.alignment.runs import REFL

HELD = HeldOut(PromptSet("mine", ("a", "b")), PromptSet("mine", ("c", "d", "e")), 0)
JOB = AlignmentJob(REFL, HELD, Path("run"))


def test_the_cost_is_that_of_all_updates_and_looks():
    few = replace(JOB, config=REFL.smallest())
    assert (REFL.steps, REFL.batch_size, few.config.batch_size, REFL.number_of_looks()) == (4, 4, 2, 3)
    cost = expected_cost(JOB, few, Aligned(RunOutcome(2), None, update_seconds=0.5, picture_seconds=0.25))
    assert (cost.seconds_per_update, cost.seconds_per_look) == (1.0, 0.75)
    assert cost.estimated_seconds == 4 * 1.0 + 3 * 0.75 and cost.peak_memory_bytes > 2**20
    assert "about 0.1 min; peak memory" in cost.sentence(REFL)


def test_a_process_that_does_not_look_counts_its_updates_alone():
    few = replace(JOB, config=REFL.smallest())
    found = Aligned(RunOutcome(2), None, update_seconds=0.5, picture_seconds=None)
    assert expected_cost(JOB, few, found).estimated_seconds == 4.0


def test_a_rehearsal_is_the_smallest_run_in_a_folder_that_goes():
    with rehearsal(JOB) as few:
        assert few.rehearsal and few.config.steps == 2 and few.folder.parent.is_dir()
        assert few.prompts.trained == HELD.trained and few.prompts.shown.prompts == ("c", "d")
    assert not few.folder.parent.exists()
