"""Writers of a cache: what is left by those that were killed, how they share the work, and where there is no room."""

import itertools
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from dina_lrm.backbones.registry import load_backbone
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.cli.main import main
from dina_lrm.data.cache.format import read_header
from dina_lrm.data.cache.repacking import repack_cache
from dina_lrm.data.cache.verification import verify_cache
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.encoding import claims as claiming
from dina_lrm.data.encoding import room
from dina_lrm.data.encoding.anew import encode_anew
from dina_lrm.data.encoding.claims import Claims
from dina_lrm.data.encoding.comparisons import encode_comparisons
from dina_lrm.data.encoding.journal import noted_shards
from dina_lrm.data.encoding.processes import Several, WriterDiedWarning
from dina_lrm.data.encoding.writing import write_shards
from dina_lrm.data.sources import write_comparisons
from dina_lrm.typed import DinaError
from tests.data.test_encoding import StopError, held, picture

CONFIG = {"depth": 1, "visual_taps": (1,), "prompt_length": 0}
SMALL = {"resolution": 32, "batch_size": 1, "shard_bytes": 1}


def loaded(folder, writer=0):
    return load_backbone(BackboneConfig("sd3", str(folder), **CONFIG), dtype=torch.float32)


@pytest.fixture(scope="module")
def backbone(tiny_folder):
    return loaded(tiny_folder)


@pytest.fixture
def pairs(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        picture(number, ((32, 32), (48, 24))[number % 2]).save(path)
    return [Comparison(f"a cube {a.stem}", a, b, 1.0) for a, b in itertools.combinations(paths, 2)]


def stopped(pairs, backbone, out, after):
    """An encoding that was stopped when so many rows were encoded; returns its folder."""

    def stopping(done, total):
        if done == after:
            raise StopError

    with pytest.raises(StopError):
        encode_comparisons(pairs, backbone, out, progress=stopping, **SMALL)
    return out.with_name(f"{out.name}.partial")


def litter(folder):
    (folder / "prompts" / ".dina-lrm.1.00000000.0123456789ab.tmp.safetensors").write_bytes(b"half of a sh")


def unnoted(folder):
    for path in (folder / "journal").iterdir():
        path.unlink()


def cut(folder):
    (path,) = (folder / "journal").iterdir()
    path.write_bytes(path.read_bytes()[:-9])


def emptied(folder):
    """What a file system may leave of a file whose name was written before its content."""
    unnoted(folder)
    (folder / "prompts" / "00001.safetensors").write_bytes(b"")


def claimed(folder):
    (folder / "claims").mkdir(exist_ok=True)
    (folder / "claims" / "latents-01-00001.claim").write_text(f"{claiming.machine()} {os.getpid()}\n")


@pytest.mark.parametrize("damage", [litter, unnoted, cut, emptied, claimed])
def test_what_a_kill_leaves_changes_nothing(tmp_path, pairs, backbone, damage):
    encode_comparisons(pairs, backbone, tmp_path / "straight", **SMALL)
    folder = stopped(pairs, backbone, tmp_path / "cache", after=4)
    damage(folder)
    encode_comparisons(pairs, backbone, tmp_path / "cache", **SMALL)
    assert held(tmp_path / "cache") == held(tmp_path / "straight")


def test_a_shard_without_a_line_is_adopted_and_not_made_again(tmp_path, pairs, backbone, monkeypatch):
    folder = stopped(pairs, backbone, tmp_path / "cache", after=7)
    there = {path: path.stat().st_ino for path in (folder / "prompts").iterdir()}
    unnoted(folder)
    prompts = []
    monkeypatch.setattr(
        backbone,
        "encode_prompt_batches",
        lambda p: (prompts.extend(p), type(backbone).encode_prompt_batches(backbone, p))[1],
    )
    encode_comparisons(pairs, backbone, tmp_path / "cache", **SMALL)
    assert (len(there), prompts) == (3, [])
    assert all((tmp_path / "cache" / "prompts" / path.name).stat().st_ino == node for path, node in there.items())


def with_another(encode_images, number, at_work):
    """Pictures of this writer wait until another one has some too: else a quick one may be done with all of them."""

    def encode(pixels):
        at_work.add(number)
        until = time.monotonic() + 60
        while len(at_work) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        return encode_images(pixels)

    return encode


def test_writers_share_the_work_and_give_the_same_bytes(tmp_path, pairs, backbone, tiny_folder):
    encode_comparisons(pairs, backbone, tmp_path / "straight", **SMALL)
    counts, theirs = [0, 0, 0], [loaded(tiny_folder) for _ in range(3)]
    at_work = set()
    for number, each in enumerate(theirs):
        each.encode_images = with_another(each.encode_images, number, at_work)

    def three(ours, writing, report):
        def write(number):
            def count(rows):
                counts[number] += rows

            write_shards(theirs[number], writing, count, number)

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(write, range(3)))

    encode_comparisons(pairs, backbone, tmp_path / "cache", writers=three, **SMALL)
    assert held(tmp_path / "cache") == held(tmp_path / "straight")
    assert sum(counts) == 7
    assert sum(count > 0 for count in counts) > 1


def dying(folder, marker, writer):
    """The encoders, for the first writer, whose pictures wait until the second one is killed at its own first."""
    ours = loaded(folder)
    real = ours.encode_images

    def waiting(pixels):
        until = time.monotonic() + 60
        while not marker.exists() and time.monotonic() < until:
            time.sleep(0.05)
        return real(pixels)

    def killed(pixels):
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    ours.encode_images = killed if writer == 1 else waiting
    return ours


@pytest.mark.slow
def test_what_a_killed_process_was_at_is_made_by_another(tmp_path, pairs, backbone, tiny_folder):
    encode_comparisons(pairs, backbone, tmp_path / "straight", **SMALL)
    seen = []
    with pytest.warns(WriterDiedWarning, match=r"writer 1 of 2 ended by itself \(killed by signal 9\); the others"):
        encode_comparisons(
            pairs,
            backbone,
            tmp_path / "cache",
            writers=Several(2, partial(dying, tiny_folder, tmp_path / "killed")),
            progress=lambda done, total: seen.append((done, total)),
            **SMALL,
        )
    assert held(tmp_path / "cache") == held(tmp_path / "straight")
    assert seen[-1][1] == 7


def no_encoders(writer):
    raise DinaError("there is no such generator")


@pytest.mark.slow
def test_what_a_process_refuses_is_said_once_and_ends_the_encoding(tmp_path, pairs, backbone):
    with pytest.raises(DinaError, match=r"^there is no such generator$"):
        encode_comparisons(pairs, backbone, tmp_path / "cache", writers=Several(2, no_encoders), **SMALL)
    assert encode_comparisons(pairs, backbone, tmp_path / "cache", **SMALL).images == 4


@pytest.mark.parametrize("shard", ["prompts/00001", "latents/00/00001"])
def test_one_shard_is_written_again_as_it_was(tmp_path, pairs, backbone, shard):
    names = [info.name for info in encode_comparisons(pairs, backbone, tmp_path / "cache", **SMALL).header.shards]
    chosen = shard if shard in names else next(name for name in names if name.startswith("latents/"))
    path = tmp_path / "cache" / f"{chosen}.safetensors"
    before = path.read_bytes()
    path.write_bytes(before[:-5])
    told = next(problem for problem in verify_cache(tmp_path / "cache").problems)
    assert (told.file, told.mend) == (f"{chosen}.safetensors", f"--only {chosen}")
    encode_anew(tmp_path / "cache", chosen, pairs, backbone)
    assert path.read_bytes() == before
    assert verify_cache(tmp_path / "cache").problems == ()
    with pytest.raises(DinaError, match=r"has no shard 'latents/99/00000'; accepted: one of \d+, such as "):
        encode_anew(tmp_path / "cache", "latents/99/00000", pairs, backbone)
    if chosen.startswith("latents"):
        with pytest.raises(DinaError, match="1 of its 1 pictures are not among the comparisons given"):
            encode_anew(tmp_path / "cache", chosen, [], backbone)


def test_a_shard_of_a_repacked_cache_is_written_again_where_its_type_was_kept(tmp_path, pairs, backbone):
    encode_comparisons(pairs, backbone, tmp_path / "cache", **SMALL)
    repack_cache(tmp_path / "cache", tmp_path / "new")
    for shard in (info.name for info in read_header(tmp_path / "new").shards):
        (tmp_path / "new" / f"{shard}.safetensors").unlink()
        encode_anew(tmp_path / "new", shard, pairs, backbone)
    assert verify_cache(tmp_path / "new").problems == ()
    repack_cache(tmp_path / "cache", tmp_path / "half", dtype="float16")
    with pytest.raises(DinaError, match="does not say how many rows were encoded at once"):
        encode_anew(tmp_path / "half", "prompts/00000", pairs, backbone)


def test_claims_are_of_one_writer_until_it_is_gone(tmp_path, monkeypatch):
    with Claims(tmp_path) as ours:
        assert ours.take("latents/00/00000")
        with Claims(tmp_path) as theirs:
            assert not theirs.take("latents/00/00000")
            assert theirs.take("latents/00/00001")
        assert ours.take("latents/00/00001"), "its writer ended"
        dead = tmp_path / "claims" / "prompts-00000.claim"
        dead.write_text(f"{claiming.machine()} {2**22 + 1}\n")
        assert ours.take("prompts/00000"), "no process has that number"
        other = tmp_path / "claims" / "prompts-00001.claim"
        other.write_text("of-another-machine 1\n")
        assert not ours.take("prompts/00001")
        os.utime(other, (1, 1))
        assert ours.take("prompts/00001"), "its lease ended"


def test_too_little_room_is_said_before_anything_is_encoded(tmp_path, pairs, backbone, monkeypatch):
    usage = room.shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(room.shutil, "disk_usage", lambda place: usage._replace(free=1000))
        with pytest.raises(DinaError, match=r"cache\.partial: 1,\d+,\d+ bytes are needed .* 1,000 are free; accepted"):
            encode_comparisons(pairs, backbone, tmp_path / "cache", **SMALL)
    assert noted_shards(tmp_path / "cache.partial") == {}
    assert encode_comparisons(pairs, backbone, tmp_path / "cache", **SMALL).images == 4


@pytest.mark.slow
def test_processes_of_a_launch_give_the_same_bytes(tmp_path, pairs, tiny_folder, warm_programs):
    write_comparisons(tmp_path / "pairs.jsonl", pairs)
    words = ("prepare", tmp_path / "pairs.jsonl", "--backbone", tiny_folder, "--batch-size", "1", "--device", "cpu")
    assert main([*map(str, words), "--out", str(tmp_path / "one")]) == 0
    launcher = "-m torch.distributed.run --standalone --nproc-per-node 2 -m dina_lrm"
    python = str(warm_programs / "python")
    command = [python, *launcher.split(), *map(str, words), "--out", str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHON_EXEC": python})
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("6 comparisons (0 ties) of 4 images") == 1
    assert held(tmp_path / "two") == held(tmp_path / "one")


def test_a_folder_where_nothing_but_its_writer_was_noted_is_gone_on_with(tmp_path, pairs, backbone):
    """A kill between the making of the folder and that of the plan."""
    (tmp_path / "cache.partial").mkdir()
    (tmp_path / "cache.partial" / "writer.json").write_text("{}")
    assert encode_comparisons(pairs, backbone, tmp_path / "cache", **SMALL).images == 4
