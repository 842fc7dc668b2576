import dataclasses
import itertools
import json
import sqlite3
from contextlib import closing

import pytest
import torch
from PIL import Image

from dina_lrm.backbones.registry import load_backbone
from dina_lrm.backbones.settings import BackboneConfig, EncoderSettings
from dina_lrm.data.buckets import Bucket, buckets_for
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.comparison import Comparison, image_key
from dina_lrm.data.encoding import unfinished
from dina_lrm.data.encoding.comparisons import PicturesChangedWarning, encode_comparisons
from dina_lrm.data.encoding.encoders import encoding_backbone
from dina_lrm.images import png_bytes, to_pixels
from tests.backbones.alive import AliveModels

RESOLUTION = 32


@pytest.fixture(scope="module")
def backbone(tiny_folder):
    config = BackboneConfig("sd3", str(tiny_folder), depth=1, visual_taps=(1,), prompt_length=0)
    # Not the processor's fastest type: bfloat16 would round a batch of two and a batch of one differently.
    return load_backbone(config, dtype=torch.float32)


def picture(seed, size=(32, 32)):
    pixels = torch.randint(0, 256, (size[1], size[0], 3), generator=torch.Generator().manual_seed(seed))
    return Image.fromarray(pixels.to(torch.uint8).numpy())


@pytest.fixture
def pairs(tmp_path):
    """Two rankings of three images each as all their pairs; the second is wide. One prompt is too long."""
    found = []
    for prompt, size in (("a red cube", (32, 32)), ("a blue ball " * 8, (48, 24))):
        paths = [tmp_path / f"{size[0]}-{i}.png" for i in range(3)]
        for i, path in enumerate(paths):
            picture(i + size[0], size).save(path)
        found += [
            Comparison(prompt, a, b, 1.0, pair_id=f"{a.stem}/{b.stem}") for a, b in itertools.combinations(paths, 2)
        ]
    return found


def encode(pairs, backbone, out=None, **settings):
    return encode_comparisons(pairs, backbone, out, **{"resolution": RESOLUTION, "batch_size": 2} | settings)


def same(one, other):
    """Whether two sets hold the same comparisons, bit by bit."""
    rows = list(one.pairs.rows()) == list(other.pairs.rows())
    return rows and one.prompts == other.prompts and one.content_hash == other.content_hash


def test_images_and_prompts_are_encoded_once_and_as_the_backbone_does(pairs, backbone, monkeypatch):
    encoded = []
    monkeypatch.setattr(
        backbone, "encode_images", lambda x: (encoded.append(len(x)), type(backbone).encode_images(backbone, x))[1]
    )
    data = encode(pairs, backbone)
    assert (len(data), data.images, len(data.prompts), encoded) == (6, 6, 2, [2] * 4)  # of three each, filled up
    buckets = buckets_for(RESOLUTION, 8)
    for number, pair in enumerate(pairs):
        batch = data.batch(torch.tensor([number]))
        bucket = buckets[int(data.buckets[number])]
        for side, image in ((batch.first, pair.image_a), (batch.second, pair.image_b)):
            alone = type(backbone).encode_images(backbone, to_pixels([image], bucket))
            torch.testing.assert_close(batch.latents[side], alone)
        prompt = backbone.encode_prompts([pair.prompt])
        torch.testing.assert_close(batch.conditioning.prompt_embeds, prompt.prompt_embeds.expand(2, -1, -1))
        assert batch.conditioning.truncated == prompt.truncated * 2
    assert data.header.truncated_prompts == 1


def test_a_picture_keeps_its_own_size_and_is_stored_once(tmp_path, backbone):
    wide, tall = png_bytes(picture(0, (64, 32))), png_bytes(picture(1, (32, 64)))
    data = encode([Comparison("a cube", wide, tall, 1.0), Comparison("a cube", wide, wide, 0.5)], backbone)
    sizes = [(bucket.width, bucket.height) for bucket in data.header.buckets]
    found = [[sizes[number] for number in side.tolist()] for side in (data.pairs.bucket_a, data.pairs.bucket_b)]
    assert found[0][0] == found[0][1] == found[1][1] == found[1][0][::-1]
    assert found[0][0][0] > found[0][0][1]
    assert (data.images, data.header.pair_buckets) == (2, "own")


def test_a_pair_can_share_a_bucket_near_both_shapes(tmp_path, backbone):
    wide, tall = png_bytes(picture(0, (64, 32))), png_bytes(picture(1, (32, 64)))
    pairs = [Comparison("a cube", wide, tall, 1.0), Comparison("a cube", wide, wide, 0.5)]
    data = encode(pairs, backbone, pair_buckets="common")
    square, other = (data.header.buckets[number] for number in data.buckets.tolist())
    assert (square.width, square.height) == (32, 32)
    assert other.width > other.height
    assert data.images == 3, "the wide image is encoded for each of its two buckets"


def test_folder_and_memory_agree(tmp_path, pairs, backbone):
    in_memory = encode(pairs, backbone)
    on_disk = encode(pairs, backbone, tmp_path / "cache")
    assert same(in_memory, on_disk)
    assert same(on_disk, EncodedComparisons.load(tmp_path / "cache", backbone))
    recorded = dataclasses.replace(on_disk.header, tables={}, sha256="")  # of files, which memory has none of
    assert in_memory.header == recorded
    assert sorted(path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()) == [
        ".json",
        *[".parquet"] * 4,
        *[".safetensors"] * 3,
    ]
    in_memory.save(tmp_path / "saved")
    assert same(EncodedComparisons.load(tmp_path / "saved", backbone), on_disk)


def test_content_decides_when_images_have_no_path(backbone):
    one, other = picture(0), picture(1)
    data = encode(
        [Comparison("a cube", one, other, 1.0), Comparison("a ball", one.copy(), png_bytes(other), 0.0)], backbone
    )
    assert data.images == 3
    first, second = (data.batch(torch.tensor([number])) for number in range(2))
    assert torch.equal(first.latents[first.first], second.latents[second.first])


class StopError(Exception):
    pass


@pytest.mark.parametrize(("where", "stop_after"), [("reading", 3), ("progress", 2), ("progress", 7), ("progress", 12)])
def test_an_encoding_that_was_stopped_goes_on_bit_identically(tmp_path, backbone, where, stop_after):
    pairs = [
        Comparison(f"a {word} cube", png_bytes(picture(i)), png_bytes(picture(i // 2, (48, 24))), 0.7)
        for i, word in enumerate(("red", "green", "blue", "red", "small", "large"))
    ]
    settings = {"batch_size": 1, "shard_bytes": 1}
    straight = encode(pairs, backbone, tmp_path / "straight", **settings)

    def stopping(done, total):
        if done == stop_after:
            raise StopError

    with pytest.raises(StopError):
        encode(pairs, backbone, tmp_path / "cache", **{where: stopping}, **settings)
    with pytest.raises(FileNotFoundError, match=r"cache\.partial is unfinished: run prepare again"):
        EncodedComparisons.load(tmp_path / "cache")
    resumed = encode(pairs, backbone, tmp_path / "cache", **settings)
    assert same(straight, resumed)
    assert resumed.header == straight.header
    assert held(tmp_path / "cache") == held(tmp_path / "straight")
    assert not (tmp_path / "cache.partial").exists()


def held(folder):
    """The bytes of every file of a cache."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_on_disk_is_not_encoded_again(tmp_path, backbone, monkeypatch):
    pairs = [Comparison("a cube", png_bytes(picture(i)), png_bytes(picture(i + 1)), 1.0) for i in range(6)]

    def stopping(done, total):
        if done == 7:  # the prompt, and three shards of two pictures, of which the last is not written
            raise StopError

    with pytest.raises(StopError):
        encode(pairs, backbone, tmp_path / "cache", shard_bytes=1, progress=stopping)
    encoded = []
    monkeypatch.setattr(
        backbone, "encode_images", lambda x: (encoded.append(len(x)), type(backbone).encode_images(backbone, x))[1]
    )
    assert encode(pairs, backbone, tmp_path / "cache", shard_bytes=1).images == 7
    assert encoded == [2, 2]  # three, filled up


def test_going_on_needs_the_same_comparisons_and_settings(tmp_path, pairs, backbone):
    def stopping(done, total):
        if done == 4:
            raise StopError

    with pytest.raises(StopError):
        encode(pairs, backbone, tmp_path / "cache", batch_size=1, shard_bytes=1, progress=stopping)
    with pytest.raises(
        ValueError, match=r"cache\.partial was begun with other settings: .*float32.*now given: .*bfloat16"
    ):
        encode(pairs, backbone, tmp_path / "cache", batch_size=1, shard_bytes=1, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match=r"cache\.partial was begun with other comparisons: number 0 differs"):
        encode(pairs[::-1], backbone, tmp_path / "cache", batch_size=1, shard_bytes=1)


def test_bad_images_are_left_out_and_listed(tmp_path, pairs, backbone):
    (tmp_path / "corrupt.png").write_bytes(b"no image")
    bad = [
        Comparison("a cube", tmp_path / "absent.png", pairs[0].image_a, 1.0, pair_id="gone"),
        Comparison("a ball", pairs[0].image_a, tmp_path / "corrupt.png", 1.0),
        Comparison("a ball", pairs[0].image_b, tmp_path / "absent.png", 1.0),
    ]
    data = encode([bad[0], pairs[0], bad[1], bad[2]], backbone, tmp_path / "cache")
    assert (len(data), data.pairs.number.tolist(), data.prompts) == (1, [1], ("a red cube",))
    assert [(entry.number, entry.pair_id) for entry in data.missing] == [(0, "gone"), (2, None), (3, None)]
    assert data.missing[0].image.endswith("absent.png")
    assert "no such image file" in data.missing[0].reason
    assert "not a readable image" in data.missing[1].reason
    assert (data.header.missing_pairs, data.header.missing_images) == (3, 2)
    with pytest.raises(ValueError, match=r"comparison 2: .*corrupt\.png: not a readable image"):
        encode([pairs[0], pairs[1], bad[1]], backbone, on_bad="raise")
    with pytest.raises(ValueError, match=r"not one comparison could be encoded; the first: .*absent\.png"):
        encode(bad[:1], backbone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_storage_type_rounds_and_nothing_else(tmp_path, pairs, backbone, dtype):
    exact, rounded = encode(pairs, backbone), encode(pairs, backbone, tmp_path / "cache", dtype=dtype)
    chosen = torch.tensor([0, 1])
    assert rounded.batch(chosen).latents.dtype == torch.float32
    assert torch.equal(rounded.batch(chosen).latents, exact.batch(chosen).latents.to(dtype).float())
    assert rounded.batch(chosen).conditioning.prompt_embeds.dtype == dtype
    assert json.loads((tmp_path / "cache" / "cache.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")


def test_a_generator_of_the_same_name_with_another_vae_is_refused(tmp_path, pairs, backbone, monkeypatch):
    header = encode(pairs[:1], backbone, tmp_path / "cache").header
    assert (header.latent_scale, header.latent_shift) == (1.5305, 0.0609)
    monkeypatch.setattr(backbone, "latent_scale", 0.18215)
    with pytest.raises(ValueError, match=r"scale and shift \(1\.5305, 0\.0609\); this backbone has \(0\.18215, "):
        EncodedComparisons.load(tmp_path / "cache", backbone)


def test_progress_counts_comparisons_then_pictures_and_prompts(pairs, backbone):
    read, encoded = [], []
    encode(
        iter(pairs),
        backbone,
        total=6,
        reading=lambda done, total: read.append((done, total)),
        progress=lambda done, total: encoded.append((done, total)),
    )
    assert read == [(done, 6) for done in range(1, 7)]
    assert encoded == [(2, 8), (4, 8), (5, 8), (7, 8), (8, 8)]


def test_two_processes_cannot_encode_into_one_folder(tmp_path, pairs, backbone):
    def again(done, total):
        with pytest.raises(ValueError, match=r"cache\.partial: another process is writing there.*\(process \d+ on "):
            encode(pairs, backbone, tmp_path / "cache")
        raise StopError

    with pytest.raises(StopError):
        encode(pairs, backbone, tmp_path / "cache", progress=again)


def test_what_is_in_the_way_of_a_cache_stays_as_it_is(tmp_path, pairs, backbone):
    """A user's folder of the unfinished cache's name is never written to; a database of somebody else's neither."""
    mine = tmp_path / "cache.partial" / "photo.png"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"cache\.partial: .* holds 'photo\.png', which is none"):
        encode(pairs, backbone, tmp_path / "cache")
    assert [path.name for path in mine.parent.iterdir()] == ["photo.png"]
    theirs = tmp_path / "other.partial" / "index.sqlite"
    theirs.parent.mkdir()
    with closing(sqlite3.connect(theirs)) as database:
        database.execute("CREATE TABLE theirs (x)")
        database.commit()
    before = theirs.read_bytes()
    with pytest.raises(ValueError, match="holds a database that is no index of an encoding"):
        encode(pairs, backbone, tmp_path / "other")
    assert theirs.read_bytes() == before
    theirs.write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match=r"index\.sqlite: is damaged, or no index of an encoding"):
        encode(pairs, backbone, tmp_path / "other")
    assert not any((tmp_path / name).exists() for name in ("cache", "other"))


def test_an_encoding_stopped_between_its_last_two_steps_is_finished_by_the_next(tmp_path, pairs, backbone, monkeypatch):
    straight = encode(pairs, backbone, tmp_path / "straight")

    def stopping(folder):
        raise StopError

    with monkeypatch.context() as patch, pytest.raises(StopError):
        patch.setattr(unfinished, "flush", stopping)
        encode(pairs, backbone, tmp_path / "cache")
    assert (tmp_path / "cache" / "index.sqlite").is_file()
    assert encode(pairs, backbone, tmp_path / "cache").header == straight.header
    assert not (tmp_path / "cache" / "index.sqlite").exists()
    assert not (tmp_path / "cache.partial").exists()


def test_pictures_that_were_drawn_anew_are_noticed_by_a_resumed_encoding(tmp_path, backbone):
    names = [tmp_path / f"{i}.png" for i in range(7)]
    for number, name in enumerate(names):
        picture(number).save(name)
    pairs = [Comparison(f"p {i}", names[i], names[i + 1], 1.0) for i in range(6)]

    def stopping(done, total):
        if done == 4:
            raise StopError

    def stopped(out):
        with pytest.raises(StopError):
            encode(pairs, backbone, tmp_path / out, batch_size=1, shard_bytes=1, progress=stopping)

    for out in ("one", "two"):
        stopped(out)
    picture(20).save(names[6])  # not encoded before the stop
    with pytest.warns(PicturesChangedWarning, match=r"one\.partial .*: number 5 .*6\.png changed"):
        resumed = encode(pairs, backbone, tmp_path / "one", batch_size=1, shard_bytes=1)
    assert resumed.header == encode(pairs, backbone, tmp_path / "fresh", batch_size=1, shard_bytes=1).header
    picture(21).save(names[1])
    told = r"two\.partial was begun with other comparisons: number 0 .*1\.png changed.*begun again"
    fresh = encode(pairs, backbone, tmp_path / "fresh-two", batch_size=1, shard_bytes=1)
    with pytest.warns(PicturesChangedWarning, match=told):
        resumed = encode(iter(pairs), backbone, tmp_path / "two", batch_size=1, shard_bytes=1)
    assert resumed.header == fresh.header
    assert not (tmp_path / "two.partial").exists()


def test_one_picture_of_two_names_is_encoded_once_and_two_of_one_name_twice(tmp_path, backbone):
    for folder, number in (("x", 0), ("y", 1), ("z", 0)):
        (tmp_path / folder).mkdir()
        picture(number).save(tmp_path / folder / "a.png")
    pairs = [
        Comparison("a cube", tmp_path / "x" / "a.png", tmp_path / "y" / "a.png", 1.0),
        Comparison("a ball", tmp_path / "z" / "a.png", (tmp_path / "y" / "a.png").read_bytes(), 1.0),
    ]
    assert encode(pairs, backbone).images == 2


@pytest.mark.parametrize("out", ["cache", None])
def test_what_the_encoder_makes_nan_of_is_left_out_and_counted(tmp_path, pairs, backbone, monkeypatch, out):
    whole = encode(pairs, backbone)
    bad = pairs[0].image_a
    wrong = to_pixels([bad], Bucket(RESOLUTION, RESOLUTION))[0]
    real = backbone.encode_images

    def broken(pixels):
        hit = torch.tensor([given.shape == wrong.shape and torch.equal(given, wrong) for given in pixels])
        return torch.where(hit[:, None, None, None], torch.nan, real(pixels))

    monkeypatch.setattr(backbone, "encode_images", broken)
    data = encode(pairs, backbone, None if out is None else tmp_path / out)
    key = image_key(bad)
    hit = {n for n, pair in enumerate(pairs) if key in (image_key(pair.image_a), image_key(pair.image_b))}
    assert set(data.pairs.number.tolist()) == set(whole.pairs.number.tolist()) - hit
    assert {entry.number for entry in data.missing} == hit
    assert "NaN or infinity" in data.missing[0].reason
    assert (data.header.missing_pairs, data.header.missing_images) == (len(hit), 1)
    assert all(values.isfinite().all() for table in data.latents for s in table.shards() for values in s.values())
    with pytest.raises(ValueError, match="NaN or infinity"):
        encode(pairs, backbone, on_bad="raise")


def test_faults_are_named(tmp_path, pairs, backbone):
    with pytest.raises(ValueError, match="no comparisons to encode"):
        encode([], backbone)
    with pytest.raises(ValueError, match="batch_size: got 0; accepted: at least 1"):
        encode(pairs, backbone, batch_size=0)
    with pytest.raises(ValueError, match=r"dtype is torch\.int8; accepted: torch\.float32"):
        encode(pairs, backbone, dtype=torch.int8)
    (tmp_path / "cache").mkdir()
    with pytest.raises(FileExistsError, match="cache exists already; choose another folder"):
        encode(pairs, backbone, tmp_path / "cache")


@pytest.mark.parametrize("settings", [EncoderSettings(stay=False), EncoderSettings(stay=False, offload=True)])
def test_encoders_that_do_not_stay_make_the_same_cache(pairs, backbone, tiny_folder, settings):
    goes = encoding_backbone(str(tiny_folder), encoders=settings)
    with AliveModels() as alive:
        found = encode(pairs, goes)
    assert found.content_hash == encode(pairs, backbone).content_hash
    assert alive.together == 1
    assert len([name for name in alive.calls if name.startswith("CLIP")]) == 2  # each loaded once
