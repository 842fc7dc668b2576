"""What every card is made of: metadata that the hub reads, tables that nothing breaks, one part for measurements."""

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import EvalResult

from dina_lrm.cards.bases import base_metadata, base_name, hub_id, licence_of, metadata
from dina_lrm.cards.measured import accuracy_text, eval_results, measured_table, merged
from dina_lrm.cards.text import card_text, facts_table, measured_part, table, with_measured

ROW = {"set": "in_domain", "read at": "t = 0.4", "accuracy": 0.8, "low": 0.75, "high": 0.85, "pairs": 2000}


def test_metadata_is_read_back_by_the_hubs_library():
    results = eval_results([ROW], "zero-shot-image-classification")
    data = metadata(license=None, library_name="dina-lrm", tags=["a"], model_name="m", eval_results=results)
    found = ModelCard(card_text(data, "# Title")).data
    assert (found.library_name, found.tags, found.license) == ("dina-lrm", ["a"], None)
    [measured] = found.eval_results
    assert isinstance(measured, EvalResult)
    assert (measured.dataset_name, measured.metric_type, measured.metric_value) == ("in_domain", "accuracy", 0.8)
    assert measured.metric_args == {"low": 0.75, "high": 0.85, "pairs": 2000}


def test_what_has_no_number_has_no_result():
    assert eval_results([{"set": "a", "accuracy": "high"}, {"set": "b"}], "t") == []


def test_an_interval_stands_in_one_column():
    text = measured_table([ROW | {"ceiling": 0.88, "convention": "micro_strict"}, {"set": "b", "accuracy": None}])
    assert "| set | read at | accuracy, % (95 % interval) | ceiling, % | pairs |" in text
    assert "| in_domain | t = 0.4 | 80.0 (75.0 to 85.0) | 88.0 | 2,000 |" in text
    assert "| b |  | \u2013 |  |  |" in text
    assert "Counted by `micro_strict`" in text
    assert accuracy_text({"accuracy": 0.5}) == "50.0 (needs more prompts)"
    assert "evaluate --record" in measured_table([])


def test_a_newer_measurement_takes_the_place_of_the_same_alone():
    other = ROW | {"set": "unseen"}
    again = ROW | {"accuracy": 0.9}
    assert merged([ROW, other], [again]) == [again, other]
    counted = [ROW | {"convention": name} for name in ("micro_strict", "acc_with_ties")]
    assert merged(counted[:1], [counted[1], ROW | {"read at": "t = 0.2"}]) == [*counted, ROW | {"read at": "t = 0.2"}]
    assert merged([ROW], counted[:1]) == counted[:1]


def test_no_value_breaks_a_table():
    text = table(("a|b", "c"), [{"a|b": "x|y\nz", "c": "<script>\x1b"}])
    assert text.splitlines()[2] == "| x\\|y z | &lt;script>\\x1b |"
    assert facts_table({"known": 1, "unknown": None}).count("\n") == 2


def test_measurements_are_written_between_their_comments_and_nowhere_else():
    body = f"mine\n\n{measured_part('old')}\n\nmine too"
    assert with_measured(body, "new") == body.replace("old", "new")
    assert with_measured(body.replace("<!-- dina-lrm: end of measured -->", ""), "new") is None
    assert with_measured("mine", "new") is None


def test_a_folder_of_this_machine_is_no_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert hub_id("owner/name") is None and hub_id("owner/other") == "owner/other"
    assert hub_id("synthetic") is None and hub_id("/a/b") is None and hub_id("../b") is None
    assert base_metadata("owner/other", "adapter") == {"base_model": "owner/other", "base_model_relation": "adapter"}
    assert base_metadata("owner/name", "adapter") == {}
    assert base_name(str(tmp_path / "owner" / "name")) == "a folder called `name`"


@pytest.mark.parametrize(
    ("metadata_of_base", "said"),
    [
        ("license: apache-2.0", "apache-2.0"),
        ("license: other\nlicense_name: mine", "other (mine)"),
        ("license: [a, b]", "unknown"),
        ("license: {", "unknown"),
        ("tags: []", "unknown"),
    ],
)
def test_the_licence_of_a_base_is_what_its_own_card_says(tmp_path, metadata_of_base, said):
    (tmp_path / "README.md").write_text(f"---\n{metadata_of_base}\n---\n# Base\n")
    assert licence_of(str(tmp_path)) == said


def test_a_licence_that_nobody_states_is_unknown(tmp_path):
    assert licence_of(str(tmp_path)) == licence_of("nobody/nothing") == "unknown"
    assert licence_of("synthetic") == licence_of("synthetic-uncurated") == "apache-2.0"
