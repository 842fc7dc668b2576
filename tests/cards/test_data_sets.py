"""Cards of data sets: what is counted as it streams by, and what stands in front for the hub."""

import re

import numpy as np
import pytest
from huggingface_hub import DatasetCard
from PIL import Image

from dina_lrm.cards.data_sets import DataSet, cache_card, comparisons_card, filters_table
from dina_lrm.data.cache.verification import verify_cache
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.encoding.prepared import prepare
from dina_lrm.data.filtering import FilterPlan
from dina_lrm.data.named_source import NamedSource
from dina_lrm.data.sources.carded import card_beside, licence_beside, write_carded
from dina_lrm.data.sources.counting import Counted
from dina_lrm.runs.ownership import changed_files, made_by
from dina_lrm.synthetic.writing import SyntheticSet

COMPARISONS = [
    Comparison("a ring", "0.png", "1.png", 1.0, source="mine"),
    Comparison("a ring", "1.png", "2.png", 0.5, votes=3),
    Comparison("a bar", "0.png", "2.png", 0.0, source="mine"),
]


def test_what_streams_by_is_counted_and_stays_what_it_is():
    counted = Counted(COMPARISONS)
    assert list(counted) == COMPARISONS
    assert counted.facts() == {"pairs": "3", "ties": "1", "prompts": "2", "sources": "mine (2)"}
    assert {"prompt", "image_a", "image_b", "preference", "source", "votes"} <= set(counted.columns)
    assert "confidence" not in counted.columns


@pytest.mark.parametrize(
    ("licence", "metadata"),
    [
        ("apache-2.0", {"license": "apache-2.0"}),
        ("other (mine)", {"license": "other", "license_name": "mine"}),
        ("unknown", {}),
    ],
)
def test_the_hub_reads_licence_and_table(licence, metadata):
    of = DataSet("Mine", "About.", {"pairs": "3"}, licence)
    for text in (comparisons_card(of, "c.jsonl", ["prompt"]), cache_card(of)):
        data = DatasetCard(text).data.to_dict()
        assert {name: data[name] for name in ("license", "license_name") if name in data} == metadata
        assert data["pretty_name"] == "Mine" and len(data["configs"]) == 1
        assert f"| licence | {licence} |" in text


def test_a_table_that_was_filtered_says_what_is_gone(tmp_path):
    plan = FilterPlan(drop_ties=True)
    kept = plan.filters()[0]
    left = [each for each in COMPARISONS if kept.reason(each) is None]
    of = DataSet("Kept", "About.", {"read from": "`all.jsonl`"})
    rows = write_carded(tmp_path / "kept.jsonl", left, of, lambda: filters_table([("ties", 3, 1, {"tie": 1})]))
    text = (tmp_path / "kept.jsonl.card.md").read_text()
    assert rows == 2 and "| pairs | 2 |" in text and "| ties | 3 | 1 | tie (1) |" in text
    assert "`votes`" not in text and "`preference`" in text
    card_beside(tmp_path / "other.jsonl").write_text("mine")
    with pytest.raises(FileExistsError, match="nothing was written over"):
        write_carded(tmp_path / "other.jsonl", left, of)
    assert not (tmp_path / "other.jsonl").exists()


def test_a_synthetic_set_and_what_is_made_of_it_are_told_and_can_be_read_back(tmp_path):
    made = SyntheticSet("train", 2, 3).write(tmp_path / "set")
    card = DatasetCard.load(tmp_path / "set" / "README.md")
    assert card.data.license == "apache-2.0" and f"| pairs | {len(made):,} |" in card.text
    assert made_by(tmp_path / "set").kind == "data set" and changed_files(tmp_path / "set") == {}
    read = run_code(card.text, tmp_path / "set")["comparisons"]
    assert [each.preference for each in read] == made.preference.tolist()

    source = NamedSource("ours", tmp_path / "set" / "comparisons.jsonl")
    assert licence_beside(source.path) == "apache-2.0"
    prepared = prepare(source, "synthetic", tmp_path / "cache")
    told = DatasetCard.load(tmp_path / "cache" / "README.md")
    assert told.data.license == "apache-2.0" and "| source | `comparisons.jsonl` |" in told.text
    assert f"| images | {prepared.data.images} |" in told.text and str(tmp_path) not in told.text
    assert verify_cache(tmp_path / "cache").problems == ()
    assert len(run_code(told.text, tmp_path / "cache")["data"]) == len(made)


def test_pictures_of_nobody_knows_whom_have_an_unknown_licence(tmp_path):
    for name in ("0.png", "1.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / name)
    assert licence_beside(tmp_path / "all.jsonl") == licence_beside(None) == "unknown"


def run_code(text, place):
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(code.replace("PATH OR HUB ID", str(place)), names)
    return names
