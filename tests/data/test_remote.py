"""Caches at an address: read as they are, whatever the server does, or an error that says what to do."""

import json
import os
import re
import shutil
import subprocess
import threading

import fsspec
import pytest
import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.cli.main import main
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.merging import merge_caches
from dina_lrm.data.cache.remote.addresses import checked_address, shown_address
from dina_lrm.data.cache.remote.copies import LocalCopies
from dina_lrm.data.cache.remote.patience import Patience
from dina_lrm.data.cache.repacking import repack_cache
from dina_lrm.data.cache.verification import verify_cache
from dina_lrm.evaluation.named_sets import made_set, named_sets
from tests.data.file_server import file_server
from tests.data.first_format import to_first_format

CONFIG = BackboneConfig("qwen-image", "tiny", depth=1, visual_taps=(1,), prompt_length=5)
QUICK = Patience(tries=3, stall=1.0, wait=0.01)
LATENTS = "latents/00/00000.safetensors"
ALL = torch.arange(12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cache of four shards: three of latents, one of prompts."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(5) < torch.tensor([1, 3, 5, 2])[:, None]
    embeds = torch.randn(4, 5, 4, generator=generator).masked_fill(~mask[..., None], 0)
    place = tmp_path_factory.mktemp("served")
    EncodedComparisons.from_tensors(
        torch.randn(24, 2, 4, 4, generator=generator),
        Conditioning(embeds, prompt_mask=mask),
        torch.arange(0, 24, 2),
        torch.arange(1, 24, 2),
        torch.arange(12) % 4,
        torch.rand(12, generator=generator),
        prompts=list("abcd"),
    ).save(place / "whole", CONFIG)
    repack_cache(place / "whole", place / "cache", 8 * 2 * 4 * 4 * 4)
    assert len(EncodedComparisons.load(place / "cache").header.shards) == 4
    return place


@pytest.fixture
def server(folder):
    with file_server(folder) as told:
        yield told


@pytest.fixture
def copies(tmp_path):
    return LocalCopies(tmp_path / "copies", 2**20, QUICK)


def same(one, other):
    first, second = one.batch(ALL), other.batch(ALL)
    assert torch.equal(first.latents, second.latents)
    assert torch.equal(first.conditioning.prompt_embeds, second.conditioning.prompt_embeds)
    assert one.content_hash == other.content_hash


def held(copies):
    return sorted(path.name for path in copies.shards.glob("*.safetensors"))


def test_rows_are_those_of_the_folder_and_a_shard_is_fetched_once_and_when_it_is_needed(folder, server, copies):
    data = EncodedComparisons.load(f"{server.url}/cache/", CONFIG, copies)
    assert not any("safetensors" in path for path in server.asked)
    data.batch(torch.tensor([0]))
    assert sum("latents" in path for path in server.asked) == 1
    same(data, EncodedComparisons.load(folder / "cache"))
    again = EncodedComparisons.load(f"{server.url}/cache", CONFIG, copies)
    same(again, data)
    assert {count for path, count in server.asked.items() if path != "/cache/cache.json"} == {1}
    assert again.latents[0].shapes() == {"latents": (2, 4, 4)}
    assert len(held(copies)) == 4
    assert [path.name for path in copies.folder.iterdir() if path.name.startswith(".")] == []


def test_other_addresses_and_the_first_format_read_the_same(folder, copies, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.put(str(folder / "cache"), "/given/cache", recursive=True)
    wanted = EncodedComparisons.load(folder / "cache")
    same(EncodedComparisons.load("memory://given/cache", CONFIG, copies), wanted)
    same(EncodedComparisons.load(f"file://{folder / 'cache'}", CONFIG), wanted)
    shutil.copytree(folder / "cache", tmp_path / "first")
    to_first_format(tmp_path / "first")
    with file_server(tmp_path) as server:
        same(
            EncodedComparisons.load(f"{server.url}/first", CONFIG, copies), EncodedComparisons.load(tmp_path / "first")
        )


def test_a_server_that_hangs_up_stalls_or_sends_something_else_is_asked_again(folder, server, copies):
    server.fail("cache/cache.json", "cut", 503)
    server.fail("cache/pairs.parquet", "flip")
    server.fail(f"cache/{LATENTS}", "cut", "cut")
    server.fail("cache/latents/00/00001.safetensors", "stall", "flip")
    server.fail("cache/prompts/00000.safetensors", 429)
    same(EncodedComparisons.load(f"{server.url}/cache", CONFIG, copies), EncodedComparisons.load(folder / "cache"))
    assert server.asked[f"/cache/{LATENTS}"] == 3


@pytest.mark.parametrize(
    "fault, told",
    [
        ("cut", r".*try 3 of 3"),
        ("stall", r"nothing came for 1 seconds, after \d+ bytes \(try 3 of 3\)"),
        (500, r"500.*try 3 of 3"),
        ("flip", r"what came has the hash \w{12}, and cache\.json recorded \w{12} \(try 3 of 3\)"),
    ],
)
def test_after_all_tries_the_address_and_the_shard_are_named_and_a_later_reading_goes_on(server, copies, fault, told):
    data = EncodedComparisons.load(f"{server.url}/cache", CONFIG, copies)
    server.fail(f"cache/{LATENTS}", fault, fault, fault)
    with pytest.raises(ValueError, match=rf"{re.escape(server.url)}/cache/{LATENTS}: {told}.*goes on"):
        data.batch(ALL)
    data.batch(ALL)


def test_what_no_other_try_changes_is_not_tried_again(server, copies, folder, tmp_path):
    server.fail("cache/cache.json", 403)
    with pytest.raises(ValueError, match=r"cache\.json: 403.*accepted: an address that may be read"):
        EncodedComparisons.load(f"{server.url}/cache", CONFIG, copies)
    assert server.asked["/cache/cache.json"] == 1
    with pytest.raises(FileNotFoundError, match=r"/other: no cache of comparisons there \(cache\.json is missing\)"):
        EncodedComparisons.load(f"{server.url}/other", CONFIG, copies)
    with pytest.raises(ValueError, match=r"nothing://a/b.*known"):
        EncodedComparisons.load("nothing://a/b", CONFIG, copies)
    small = LocalCopies(tmp_path / "small", 500, QUICK)
    data = EncodedComparisons.load(f"{server.url}/cache", CONFIG, small)
    with pytest.raises(ValueError, match=rf"cache/{LATENTS}: is larger than 500 bytes.*more room"):
        data.batch(ALL)
    assert len(held(small)) == 1, "the prompts alone"
    with pytest.raises(ValueError, match=r"accepted: SCHEME://PLACE without \? and #"):
        checked_address("https://host/cache?signature=1")


def test_another_cache_at_the_address_is_said(folder, copies, tmp_path):
    shutil.copytree(folder / "cache", tmp_path / "cache")
    with file_server(tmp_path) as server:
        data = EncodedComparisons.load(f"{server.url}/cache", CONFIG, copies)
        shutil.rmtree(tmp_path / "cache")
        repack_cache(folder / "cache", tmp_path / "cache", 10**6, "bfloat16")
        with pytest.raises(ValueError, match=r"another cache was put there.* with 4 shards, and is \w{12}, with 2"):
            data.batch(ALL)
        (tmp_path / "cache" / LATENTS).unlink()
        fresh = EncodedComparisons.load(f"{server.url}/cache", CONFIG, copies)
        with pytest.raises(FileNotFoundError, match=rf"{LATENTS} of the cache is gone"):
            fresh.batch(ALL)


def test_the_least_recently_used_copy_goes_and_none_that_is_held(server, copies, folder):
    sizes = {path.stat().st_size for path in (folder / "cache" / "latents" / "00").iterdir()}
    room = LocalCopies(copies.folder, 2 * max(sizes), QUICK)
    data = EncodedComparisons.load(f"{server.url}/cache", CONFIG, room)
    table = data.latents[0]
    for row in (0, 8, 0, 16):  # the second shard was used before the first
        table.rows(torch.tensor([row]))
    names = [shard.sha256 for shard in data.header.buckets[0].shards]
    assert held(room) == sorted(f"{names[number]}.safetensors" for number in (0, 2))
    with room.held(names[0], lambda path: None), room.held(names[2], lambda path: None):
        table.rows(torch.tensor([8]))
    assert len(held(room)) == 3
    same(data, EncodedComparisons.load(folder / "cache"))
    assert len(held(room)) <= 2


def test_a_copy_that_was_damaged_is_fetched_again(server, copies, folder):
    wanted = EncodedComparisons.load(folder / "cache")
    EncodedComparisons.load(f"{server.url}/cache", CONFIG, copies).batch(ALL)
    for path in copies.shards.glob("*.safetensors"):
        told = path.read_bytes()
        path.write_bytes(told[:-9] + bytes([told[-9] ^ 1]) + told[-8:])
    data = EncodedComparisons.load(f"{server.url}/cache", CONFIG, copies)
    same(data, wanted)
    for path in copies.shards.glob("*.safetensors"):
        path.unlink()
    same(data, wanted)


READER = """
import sys, torch
from pathlib import Path
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.remote.copies import LocalCopies
data = EncodedComparisons.load(sys.argv[1], copies=LocalCopies(Path(sys.argv[2]), int(sys.argv[3])))
for _ in range(6):
    print(float(data.batch(torch.randperm(12)).latents.double().square().sum()))
"""


def test_processes_and_threads_share_copies_that_do_not_all_fit(server, copies, folder, warm_programs):
    room, found = LocalCopies(copies.folder, 2500), []
    words = [warm_programs / "python", "-c", READER, f"{server.url}/cache", str(room.folder), str(room.most)]
    others = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    def read():
        data = EncodedComparisons.load(f"{server.url}/cache", CONFIG, room)
        for _ in range(6):
            found.append(float(data.batch(torch.randperm(12)).latents.double().square().sum()))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found += [float(line) for other in others for line in other.communicate(timeout=60)[0].split()]
    total = float(EncodedComparisons.load(folder / "cache").batch(ALL).latents.double().square().sum())
    assert len(found) == 24
    assert torch.tensor(found).double().sub(total).abs().max() < 1e-3
    assert not [name for name in os.listdir(room.shards) if name.startswith(".")]


def test_copies_are_as_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("DINA_LRM_COPIES", str(tmp_path))
    monkeypatch.setenv("DINA_LRM_COPIES_GIB", "0.5")
    assert LocalCopies.usual() == LocalCopies(tmp_path, 2**29)
    for bad in ("0", "nan", "much", "-1", "inf"):
        monkeypatch.setenv("DINA_LRM_COPIES_GIB", bad)
        with pytest.raises(ValueError, match=f"DINA_LRM_COPIES_GIB={bad}: accepted: a number of GiB above 0"):
            LocalCopies.usual()


def test_passwords_are_shown_nowhere(server, copies):
    address = server.url.replace("http://", "http://me:se@cret@")
    server.fail(f"cache/{LATENTS}", "cut", "cut", "cut")
    data = EncodedComparisons.load(f"{address}/cache", CONFIG, copies)
    with pytest.raises(ValueError) as error:
        data.batch(ALL)
    assert "cret" not in str(error.value) and "***@127.0.0.1" in str(error.value)
    assert not [path for path in copies.folder.rglob("*.json") if "cret" in path.read_text()]
    assert shown_address("s3://key:word@bucket/a") == "s3://***@bucket/a"


def test_sets_to_measure_on_may_lie_at_an_address(server, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("DINA_LRM_COPIES", str(tmp_path / "copies"))
    address = server.url.replace("://", "://me:secret@") + "/cache"
    first, second = named_sets(f"{address},{folder / 'whole'}")
    assert (first.name, second.name) == ("cache", "whole") and "secret" not in repr(first)
    same(made_set(first, lambda: CONFIG).data, EncodedComparisons.load(folder / "cache"))
    with pytest.raises(ValueError, match="two sets are called 'cache'") as error:
        named_sets(f"{address},{folder / 'cache'}")
    assert "secret" not in str(error.value)


def test_commands_take_addresses(server, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DINA_LRM_COPIES", str(tmp_path / "copies"))
    told = tmp_path / "told.json"
    address = f"{server.url}/cache"
    assert main(["cache", "verify", address, "--json", str(told)]) == 0
    assert json.loads(told.read_text())["shards"] == 4
    assert main(["cache", "verify", address, "--level", "quick"]) == 0
    assert main(["cache", "info", address, "--json", str(told)]) == 0
    assert json.loads(told.read_text())["bytes"] is None
    assert main(["cache", "repack", address, "--out", str(tmp_path / "new"), "--json", str(told)]) == 0
    assert json.loads(told.read_text())["same_content"]
    server.fail(f"cache/{LATENTS}", *[403] * 9)
    capsys.readouterr()
    assert main(["cache", "verify", address]) == 1
    assert f"{LATENTS}: 403" in "".join(capsys.readouterr().err.split("\n")).replace(f"{address}/", "")
    server.faults.clear()
    merged = merge_caches(address, folder / "whole", tmp_path / "merged")
    assert merged.common_images == 24
    assert verify_cache(tmp_path / "merged").problems == ()
