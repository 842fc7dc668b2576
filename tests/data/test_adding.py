"""Comparisons added to a cache: what one run over both would have made, and only what is new is encoded."""

import itertools
import json
import os
import shutil

import pytest

from dina_lrm.cli.main import main
from dina_lrm.data.buckets import Sizes
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.merging import merge_caches
from dina_lrm.data.cache.verification import verify_cache
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.encoding import adding
from dina_lrm.data.encoding.adding import Asked, add_comparisons, to_be_added
from dina_lrm.data.encoding.prepared import prepare
from dina_lrm.data.named_source import NamedSource
from dina_lrm.data.sources import write_comparisons
from dina_lrm.engines.settings import RayEngine
from tests.data.first_format import to_first_format
from tests.data.test_encoding import StopError, picture
from tests.training.launching import ended, start_group

SMALL = {"shard_bytes": 1}


@pytest.fixture
def pairs(tmp_path):
    """All pairs of five pictures of two shapes, of which one cannot be read."""
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths[:4]):
        picture(number, ((32, 32), (48, 24))[number % 2]).save(path)
    paths[4].write_bytes(b"no picture")
    return [
        Comparison(f"a cube {int(a.stem) % 2}", a, b, 0.75, pair_id=f"{a.stem}{b.stem}")
        for a, b in itertools.combinations(paths, 2)
    ]


def table(pairs, path):
    write_comparisons(path, pairs)
    return NamedSource("ours", path)


@pytest.fixture
def parts(tmp_path, pairs):
    """Two overlapping halves and the whole, as tables."""
    cuts = {"first": pairs[:4], "second": pairs[2:], "whole": pairs}
    return {name: table(cut, tmp_path / f"{name}.jsonl") for name, cut in cuts.items()}


def made(source, out, **settings):
    return prepare(source, "synthetic", out, batch_size=2, **{**SMALL, **settings}).header


def bytes_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_added_to_a_cache_has_the_content_and_the_order_of_one_run(tmp_path, parts):
    whole = made(parts["whole"], tmp_path / "whole")
    before = made(parts["first"], tmp_path / "cache")
    added = add_comparisons(tmp_path / "cache", parts["second"], tmp_path / "both", **SMALL)
    header, counts = added.prepared.header, added.counts
    assert (header.content, header.order, header.missing_pairs) == (whole.content, whole.order, whole.missing_pairs)
    assert header.missing_images == whole.missing_images == 1
    assert EncodedComparisons.load(tmp_path / "cache").header == before
    assert verify_cache(tmp_path / "both").problems == ()
    assert counts == to_be_added(tmp_path / "cache", parts["second"]).after(before, header)
    assert counts.comparisons == counts.pairs + counts.known_pairs + counts.missing + counts.listed == 8
    assert (counts.pairs, counts.known_pairs, counts.missing, counts.listed) == (3, 1, 3, 1)
    assert (counts.pictures, counts.known_pictures, counts.prompts, counts.known_prompts) == (0, 4, 1, 1)
    one, other = (EncodedComparisons.load(tmp_path / name) for name in ("both", "whole"))
    assert [row[1:] for row in one.pairs.rows()] == [row[1:] for row in other.pairs.rows()]
    assert one.prompts == other.prompts


def test_new_pictures_lie_in_new_shards_and_what_is_given_again_changes_nothing(tmp_path, parts, pairs):
    made(table(pairs[:1], tmp_path / "one.jsonl"), tmp_path / "cache")
    there = {name: data for name, data in bytes_of(tmp_path / "cache").items() if name.suffix == ".safetensors"}
    whole = made(parts["whole"], tmp_path / "whole")
    first = add_comparisons(tmp_path / "cache", parts["whole"], **SMALL)
    assert (first.counts.pictures, first.counts.known_pictures, first.counts.known_pairs) == (2, 2, 1)
    assert first.prepared.header.content == whole.content
    held = bytes_of(tmp_path / "cache")
    assert there.items() <= held.items()
    again = add_comparisons(tmp_path / "cache", parts["whole"], **SMALL)
    assert (again.counts.pairs, again.counts.pictures, again.counts.prompts, again.counts.missing) == (0, 0, 0, 0)
    assert (again.counts.known_pairs, again.counts.listed) == (6, 4)
    unlike = {name for name, data in bytes_of(tmp_path / "cache").items() if held.get(name) != data}
    assert unlike == set()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["cache", "whole"]
    merged = merge_caches(tmp_path / "cache", tmp_path / "whole", tmp_path / "merged").header
    more = add_comparisons(tmp_path / "merged", parts["second"], **SMALL)
    assert (more.counts.pairs, more.prepared.header.content) == (0, merged.content)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_stopped_while_it_encodes_the_cache_is_whole_and_goes_on(tmp_path, parts, pairs, after):
    made(table(pairs[:1], tmp_path / "one.jsonl"), tmp_path / "cache")
    before = bytes_of(tmp_path / "cache")
    whole = made(parts["whole"], tmp_path / "whole")

    def stopping(done, total):
        if done > after:
            raise StopError

    with pytest.raises(StopError):
        add_comparisons(tmp_path / "cache", parts["whole"], progress=stopping, **SMALL)
    assert bytes_of(tmp_path / "cache") == before
    with pytest.raises(ValueError, match="was begun with other comparisons"):
        add_comparisons(tmp_path / "cache", parts["second"], **SMALL)
    assert add_comparisons(tmp_path / "cache", parts["whole"], **SMALL).prepared.header.content == whole.content


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_stopped_where_folders_are_exchanged_it_ends_when_it_is_given_again(
    tmp_path, parts, pairs, monkeypatch, renames
):
    made(table(pairs[:1], tmp_path / "one.jsonl"), tmp_path / "cache")
    whole = made(parts["whole"], tmp_path / "whole")

    def stopping(added, folder):
        """What a kill after so many of its renames leaves."""
        aside = adding.recover_folder.__globals__["_aside"](folder)
        for source, target in ((folder, aside), (added, folder))[:renames]:
            os.replace(source, target)
        raise StopError

    with monkeypatch.context() as patched:
        patched.setattr(adding, "replace_folder", stopping)
        with pytest.raises(StopError):
            add_comparisons(tmp_path / "cache", parts["whole"], **SMALL)
    again = add_comparisons(tmp_path / "cache", parts["whole"], **SMALL)
    assert (again.prepared.header.content, again.counts.pairs) == (whole.content, 0)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["cache", "whole"]
    (tmp_path / "cache.added").mkdir()
    with pytest.raises(FileExistsError, match=r"cache\.added: is in the way"):
        add_comparisons(tmp_path / "cache", parts["whole"], **SMALL)


def test_what_does_not_fit_is_refused_with_both_values(tmp_path, parts):
    cache = tmp_path / "cache"
    made(parts["first"], cache)
    for asked, told in (
        (Asked(dtype="float32"), "dtype 'float32' was asked for, the cache has 'bfloat16'"),
        (Asked(sizes=Sizes((64,))), "pictures of 64 pixels were asked for, the cache has 32 pixels"),
        (Asked(prompt_padding="none"), "prompt_padding 'none' was asked for, the cache has 'max'"),
    ):
        with pytest.raises(ValueError, match=told):
            add_comparisons(cache, parts["second"], asked=asked)
    shutil.copytree(cache, tmp_path / "old")
    to_first_format(tmp_path / "old")
    with pytest.raises(ValueError, match="cache upgrade"):
        add_comparisons(tmp_path / "old", parts["second"])


def test_command(tmp_path, parts, capsys):
    whole = made(parts["whole"], tmp_path / "whole")
    made(parts["first"], tmp_path / "cache")
    told = tmp_path / "told.json"
    words = ["cache", "add", str(tmp_path / "cache"), str(tmp_path / "second.jsonl"), "--json", str(told)]
    assert main([*words, "--dry-run"]) == 0
    assert json.loads(told.read_text())["added"]["pairs"] == 3
    assert main([*words, "--dtype", "float32"]) == 2
    assert main(words) == 0
    assert json.loads(told.read_text())["content"] == whole.content
    assert "3 of 8 comparisons added, 1 there already" in " ".join(capsys.readouterr().out.split())


@pytest.fixture
def grown(tmp_path, parts, pairs):
    """A cache of one comparison, and what it is when all others are added by one process."""
    made(table(pairs[:1], tmp_path / "one.jsonl"), tmp_path / "cache")
    shutil.copytree(tmp_path / "cache", tmp_path / "straight")
    add_comparisons(tmp_path / "straight", parts["whole"], **SMALL)
    return bytes_of(tmp_path / "straight")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["in place", "elsewhere"])
def test_processes_of_a_launch_add_the_same_bytes(tmp_path, parts, grown, warm_programs, place):
    out = [] if place == "in place" else ["--out", str(tmp_path / "both")]
    words = ["cache", "add", str(tmp_path / "cache"), str(tmp_path / "whole.jsonl"), "--device", "cpu", *out]
    ends = ended(start_group(2, [str(warm_programs / "python"), "-m", "dina_lrm", *words]))
    assert [code for code, _ in ends] == [0, 0], ends
    assert sum("5 of 10 comparisons added, 1 there already" in " ".join(said.split()) for _, said in ends) == 1
    assert unlike(bytes_of(tmp_path / ("both" if out else "cache")), grown) == set()
    assert not [*tmp_path.glob("*.partial"), *tmp_path.glob("*.added")]


@pytest.mark.slow
def test_several_processes_add_the_same_bytes(tmp_path, parts, grown):
    add_comparisons(tmp_path / "cache", parts["whole"], processes=2, **SMALL)
    assert unlike(bytes_of(tmp_path / "cache"), grown) == set()


@pytest.mark.slow
def test_workers_of_ray_add_the_same_bytes(tmp_path, parts, grown):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    add_comparisons(tmp_path / "cache", parts["whole"], engine=RayEngine(actors=2), **SMALL)
    assert unlike(bytes_of(tmp_path / "cache"), grown) == set()


def unlike(one, other):
    """Files that are not the same in two folders; what the card says of when it was made is the run's own."""
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def test_a_kill_between_two_names_is_ended_by_the_command_too(tmp_path, parts, grown, monkeypatch):
    def stopping(added, folder):
        os.replace(folder, adding.recover_folder.__globals__["_aside"](folder))
        raise StopError

    with monkeypatch.context() as patched:
        patched.setattr(adding, "replace_folder", stopping)
        with pytest.raises(StopError):
            add_comparisons(tmp_path / "cache", parts["whole"], **SMALL)
    assert not (tmp_path / "cache").exists()
    assert main(["cache", "add", str(tmp_path / "cache"), str(tmp_path / "whole.jsonl")]) == 0
    assert unlike(bytes_of(tmp_path / "cache"), grown) == set()
