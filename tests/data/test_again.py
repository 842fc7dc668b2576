"""A share of a cache encoded again: what is as it was, what is not, and what is no longer there."""

import dataclasses
import json
import shutil

import pytest

from dina_lrm.cli.main import main
from dina_lrm.data.cache.prompt_layout import row_hashes
from dina_lrm.data.cache.shards import StoredShard, write_shard
from dina_lrm.data.cache.tables import Tables, write_tables
from dina_lrm.data.cache.whole import WholeCache
from dina_lrm.data.encoding.again import encode_again
from dina_lrm.data.encoding.prepared import prepare
from dina_lrm.data.named_source import NamedSource
from dina_lrm.data.sources import write_comparisons
from tests.data.test_adding import pairs  # noqa: F401 - a fixture

CACHE = "cache"


@pytest.fixture
def cache(tmp_path, pairs):  # noqa: F811
    write_comparisons(tmp_path / "pairs.jsonl", pairs)
    prepare(NamedSource("ours", tmp_path / "pairs.jsonl"), "synthetic", tmp_path / CACHE, batch_size=2)
    return tmp_path / CACHE


def test_every_row_comes_out_to_the_bit_and_pictures_that_are_gone_are_counted(tmp_path, cache):
    found = encode_again(cache, 1.0)
    assert (found.pictures, found.gone, found.prompts, found.exact, found.tolerance) == (4, 0, 2, 6, 0.0)
    assert found.unlike == ()
    some = encode_again(cache, 0.5, seed=1)
    assert (some.pictures, some.prompts, some.exact) == (2, 1, 3)
    (tmp_path / "0.png").unlink()
    (tmp_path / "1.png").write_bytes((tmp_path / "2.png").read_bytes())
    found = encode_again(cache, 1.0)
    assert (found.pictures, found.gone, found.exact) == (2, 2, 4)
    for share in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="share"):
            encode_again(cache, share)


def shifted(cache, shift):
    """Other latents, all of whose hashes are right: as another encoder would have made them."""
    held = WholeCache(cache)
    hashes, buckets = [], []
    for bucket in held.header.buckets:
        found = [(info, StoredShard(cache, info).read()["latents"] + shift) for info in bucket.shards]
        hashes += [sha256 for _, latents in found for sha256 in row_hashes({"latents": latents})]
        written = tuple(write_shard(cache, info.name, {"latents": latents}) for info, latents in found)
        buckets.append(dataclasses.replace(bucket, shards=written))
    images = [(*row[:-1], sha256) for row, sha256 in zip(held.tables["images.parquet"], hashes, strict=True)]
    prompts, rows, missing = (held.tables[f"{name}.parquet"] for name in ("prompts", "pairs", "missing"))
    header = dataclasses.replace(held.header, buckets=tuple(buckets))
    write_tables(cache, header, Tables(rows, prompts, missing, images))
    return cache


def test_rows_that_differ_are_named(tmp_path, cache, capsys):
    other = shifted(shutil.copytree(cache, tmp_path / "other"), 0.25)
    told = tmp_path / "told.json"
    assert main(["cache", "verify", str(other), "--reencode", "1", "--device", "cpu", "--json", str(told)]) == 1
    result = json.loads(told.read_text())["reencoded"]
    assert (result["exact"], len(result["unlike"])) == (2, 4)
    assert all(0.05 < each["off"] < 1 for each in result["unlike"])
    assert "latents/01/row 0" in " ".join(capsys.readouterr().err.split())
    assert main(["cache", "verify", str(other), "--reencode", "1", "--device", "cpu", "--tolerance", "1"]) == 0
    assert main(["cache", "verify", str(cache), "--reencode", "0.001", "--device", "cpu"]) == 0
    assert "1 pictures and 1 prompts, 2 of them to the bit" in " ".join(capsys.readouterr().out.split())
