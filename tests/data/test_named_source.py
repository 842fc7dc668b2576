"""What a word means, what a plan of filters runs, and where problems are listed."""

import pytest

from dina_lrm.data.checking import Problem
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.filtering import Filtered, FilterPlan
from dina_lrm.data.named_source import NamedSource, named_source
from dina_lrm.data.problem_list import check_problem_list, problem_list, write_problems
from dina_lrm.data.sources import write_comparisons


def pair(prompt, preference=1.0):
    return Comparison(prompt, "a.png", "b.png", preference)


@pytest.fixture
def table(tmp_path):
    write_comparisons(tmp_path / "mine.jsonl", [pair("p"), pair("q", 0.5), pair("p")])
    return tmp_path / "mine.jsonl"


def test_a_word_is_a_data_set_or_a_file(table, tmp_path):
    how = NamedSource(seed=3, split="train")
    assert named_source("hpdv3", tmp_path, how) == NamedSource("hpdv3", tmp_path, "train", seed=3)
    mine = named_source(str(table))
    assert (mine.source, mine.path, mine.title, mine.chosen_split) == ("ours", table, str(table), None)
    assert named_source("hpdv3").title == "hpdv3, split test"
    assert [each.prompt for each in mine.comparisons()] == ["p", "q", "p"]
    with pytest.raises(ValueError, match="no such file or folder, nor a data set; did you mean 'hpdv3'"):
        named_source("hpdv33")
    with pytest.raises(ValueError, match="is a file and --path"):
        named_source(str(table), tmp_path)


def test_a_check_says_what_is_wrong_in_a_line_and_in_facts(table):
    report = named_source(str(table)).check()
    assert report.counts == {"missing image": 2, "duplicate": 1}
    assert "2 x missing image, 1 x duplicate" in report.verdict("mine", table)
    assert report.facts() | {"pairs": 3, "ties": 1, "repeated": 1, "missing images": 2} == report.facts()


def test_a_plan_runs_its_filters_in_their_order(table):
    source = named_source(str(table))
    plan = FilterPlan(drop_ties=True, deduplicate=True, pairs_per_prompt=1)
    kept = Filtered(source.comparisons(), plan.filters())
    assert [each.prompt for each in kept] == ["p"]
    assert [row.removed for row in kept.report()] == [1, 1, 0]
    leaked = Filtered(source.comparisons(), FilterPlan(not_in={"tests": lambda: [pair("P")]}).filters())
    assert [each.prompt for each in leaked] == [] and leaked.report()[0].name == "leakage, tests"
    for wrong in ({"pairs_per_prompt": 0}, {"min_agreement": 0.2}, {"min_confidence": float("nan")}):
        with pytest.raises(ValueError, match="accepted"):
            FilterPlan(**wrong)


def test_problems_are_listed_beside_the_file_and_over_nothing_else(table, tmp_path):
    target = problem_list(named_source(str(table)))
    assert target == tmp_path / "mine.jsonl.problems.jsonl"
    write_problems(target, [Problem("row", "here", "why")])
    check_problem_list("--problems", target)
    with pytest.raises(ValueError, match=r"--problems .*holds something else than problems"):
        check_problem_list("--problems", table)
