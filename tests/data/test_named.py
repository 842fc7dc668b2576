"""What comparisons say by name: read, refused, swapped, written in every format, and kept by a cache."""

import json

import pytest
import torch
from PIL import Image

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.named import named_preferences
from dina_lrm.data.plain import PlainComparisons
from dina_lrm.data.sources import read_comparisons
from dina_lrm.data.sources.writing import write_comparisons
from tests.training.tiny_runs import tiny_comparisons


def one(folder, **changes) -> Comparison:
    for name in ("a", "b"):
        if not (folder / f"{name}.png").exists():
            Image.new("RGB", (32, 32), "red" if name == "a" else "blue").save(folder / f"{name}.png")
    values = {"prompt": "a cube", "image_a": folder / "a.png", "image_b": folder / "b.png", "preference": 0.5}
    return Comparison(**{**values, **changes})


def test_they_are_sorted_pairs_and_swapped_with_the_sides(tmp_path):
    found = one(tmp_path, preferences=named_preferences({"quality": 1, "alignment": 0.25, "beauty": None}, ""))
    assert found.preferences == (("alignment", 0.25), ("quality", 1.0))
    assert found.swapped().preferences == (("alignment", 0.75), ("quality", 0.0))
    assert found.swapped().swapped() == found and hash(found) == hash(found.swapped().swapped())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"quality": 1.5}, r"preferences.quality is 1.5; accepted: P\(image_a preferred\)"),
        ({"quality": float("nan")}, "preferences.quality is nan"),
        ({"quality": "good"}, "preferences.quality is 'good'"),
        ({"a b": 1.0}, "a score called 'a b'"),
        ("[1]", "accepted: the JSON text of an object"),
        (3, "preferences is 3; accepted: an object"),
    ],
)
def test_what_is_none_is_refused(given, told):
    with pytest.raises(ValueError, match=told):
        named_preferences(given, "preferences")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_every_format_gives_back_what_was_said(tmp_path, suffix):
    rows = [one(tmp_path, preferences=(("quality", 0.125),), pair_id="1"), one(tmp_path, pair_id="2")]
    write_comparisons(tmp_path / f"pairs{suffix}", rows)
    assert [row.preferences for row in read_comparisons(tmp_path / f"pairs{suffix}")] == [(("quality", 0.125),), ()]


def test_plain_preferences_are_of_overall_where_nothing_is_said_by_name(tmp_path):
    data = PlainComparisons(
        [one(tmp_path, preference=1.0), one(tmp_path, preferences=(("quality", 0.25),)), one(tmp_path, preference=0.0)]
    )
    assert data.pairs.counts() == {"overall": 2, "quality": 1}
    assert data.about("quality").preference.tolist() == [0.25] and data.about("overall").preference.tolist() == [1, 0]


def named() -> EncodedComparisons:
    data = tiny_comparisons()
    said = torch.where(torch.arange(len(data)) % 2 == 0, data.preference, torch.nan)
    return data.with_named({"quality": said}, "quality")


def test_a_cache_keeps_them_and_its_content_knows_them(tmp_path):
    from dina_lrm.backbones.settings import BackboneConfig

    backbone = BackboneConfig("sd3", "nowhere", depth=2, visual_taps=(1,), text_taps=(1,), prompt_length=0)
    data = named()
    data.save(tmp_path / "named", backbone)
    tiny_comparisons().save(tmp_path / "plain", backbone)
    read, plain = (EncodedComparisons.load(tmp_path / name) for name in ("named", "plain"))
    assert read.pairs.preferences == data.pairs.preferences and plain.pairs.counts() == {"overall": len(data)}
    assert read.content_hash != plain.content_hash and data.content_hash != tiny_comparisons().content_hash
    assert (
        torch.equal(read.pairs.labels["quality"], data.pairs.labels["quality"])
        or read.pairs.labels["quality"].isnan().any()
    )
    about = read.about("quality")
    assert len(about) == -(-len(data) // 2) and torch.equal(about.preference, data.preference[::2])
    with pytest.raises(ValueError, match=r"score 'beauty'.*'overall': 9"):
        read.about("beauty")


def test_a_cache_of_an_earlier_version_without_the_column_is_read(tmp_path):
    import pyarrow.parquet as pq

    from dina_lrm.backbones.settings import BackboneConfig
    from dina_lrm.data.cache import format as layout
    from dina_lrm.runs.content import content_of

    backbone = BackboneConfig("sd3", "nowhere", depth=2, visual_taps=(1,), text_taps=(1,), prompt_length=0)
    tiny_comparisons().save(tmp_path / "cache", backbone)
    file = tmp_path / "cache" / "pairs.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["preferences"]), file)
    values = json.loads((tmp_path / "cache" / layout.HEADER).read_text())
    values["tables"]["pairs.parquet"] = content_of(file)
    values["sha256"] = ""
    (tmp_path / "cache" / layout.HEADER).write_text(json.dumps(values))
    read = EncodedComparisons.load(tmp_path / "cache")
    assert read.pairs.preferences == [None] * 9 and read.header.content == values["content"]
