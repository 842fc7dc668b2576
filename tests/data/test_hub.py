"""`hub:` reads a data set as the datasets library does, of a local folder or its cache, or says what to do."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import config, load_dataset

from dina_lrm.data.named_source import named_source
from dina_lrm.data.sources import read_comparisons
from dina_lrm.data.sources.hub import HubDataset, hub_dataset
from dina_lrm.images import png_bytes
from tests.data.published import IMAGE, PICTURES
from tests.data.test_webdataset import archive

PNG = [png_bytes(picture) for picture in PICTURES[:4]]


@pytest.fixture
def folder(tmp_path):
    """A data set of one split as its Parquet stands on the hub, with images as the library writes them."""
    (tmp_path / "name" / "data").mkdir(parents=True)
    images = [{"bytes": content, "path": f"{number}.png"} for number, content in enumerate(PNG)]
    columns = {
        "caption": pa.array(["p", "q"]),
        "chosen": pa.array(images[:2], IMAGE),
        "rejected": pa.array(images[2:], IMAGE),
    }
    features = {
        "caption": {"dtype": "string", "_type": "Value"},
        "chosen": {"_type": "Image"},
        "rejected": {"_type": "Image"},
    }
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "name" / "data" / "train-00000-of-00001.parquet")
    return tmp_path / "name"


def said(comparisons):
    return {
        (one.prompt, *sorted([(one.image_a, one.preference), (one.image_b, 1 - one.preference)])) for one in comparisons
    }


EXPECTED = {("p", *sorted([(PNG[0], 1.0), (PNG[2], 0.0)])), ("q", *sorted([(PNG[1], 1.0), (PNG[3], 0.0)]))}


@pytest.mark.parametrize(
    ("word", "dataset"),
    [
        ("hub:owner/name", HubDataset("owner/name", own=True)),
        ("hub:owner/name:test", HubDataset("owner/name", split="test", own=True)),
        ("hub:owner/name/large:test", HubDataset("owner/name", "large", "test", own=True)),
        ("hub:mnist", HubDataset("mnist", own=True)),
    ],
)
def test_a_word_names_repository_configuration_and_split(word, dataset):
    assert hub_dataset(word) == dataset


@pytest.mark.parametrize("word", ["hub:", "hub:a//b", "hub:a/b/c/d", "hub:./nowhere", "hub:/no/where"])
def test_a_word_that_names_none_is_refused(word):
    with pytest.raises(ValueError, match="no data set; accepted: hub:OWNER/NAME"):
        hub_dataset(word)


def test_a_folder_is_read_as_on_the_hub_with_its_layout(folder):
    assert said(read_comparisons(f"hub:{folder}")) == EXPECTED
    assert said(read_comparisons(f"hub:{folder}:train")) == EXPECTED
    source = named_source(f"hub:{folder}")
    report = source.check()
    assert (report.pairs, report.images, report.problems) == (2, 4, ())
    assert report.layout.startswith("read as chosen-rejected: prompt = caption")
    with pytest.raises(ValueError, match="split 'test': cannot be opened"):
        list(read_comparisons(f"hub:{folder}", split="test"))


def test_one_of_several_splits_is_named(folder):
    data = folder / "data"
    (data / "test-00000-of-00001.parquet").write_bytes((data / "train-00000-of-00001.parquet").read_bytes())
    with pytest.raises(
        ValueError, match=rf"several splits; give the one that is meant: hub:{folder}:train, hub:.*:test"
    ):
        list(read_comparisons(f"hub:{folder}"))
    assert said(read_comparisons(f"hub:{folder}:test")) == EXPECTED


def test_archives_on_the_hub_are_read_as_those_of_a_folder(tmp_path):
    files = {"0.chosen.png": PNG[0], "0.rejected.png": PNG[2], "0.txt": "p", "0.json": {"weight": 2.0}}
    archive(tmp_path / "train-000.tar", files)
    (found,) = read_comparisons(f"hub:{tmp_path}")
    assert found == next(read_comparisons(tmp_path / "train-000.tar"))


def test_the_cache_is_read_where_the_hub_is_declared_offline(folder, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    load_dataset(str(folder), cache_dir=str(cache))
    (cache / "name").rename(cache / "owner___name")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", cache)
    assert said(read_comparisons("hub:owner/name:train")) == EXPECTED
    told = "the hub cannot be reached, and the cache does not hold it .*hf download owner/other .* the folder: hub:DIR"
    with pytest.raises(ValueError, match=told):
        list(read_comparisons("hub:owner/other"))
