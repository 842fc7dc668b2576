"""Caches of sizes of several areas: which picture keeps its own, pairs across areas, and all that reads them."""

import itertools
import json

import pytest
import torch

from dina_lrm.backbones.registry import load_backbone
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.cli.main import main
from dina_lrm.data.buckets import Bucket, Sizes
from dina_lrm.data.cache.merging import merge_caches
from dina_lrm.data.cache.verification import verify_cache
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.encoding.adding import Asked, add_comparisons
from dina_lrm.data.encoding.again import encode_again
from dina_lrm.data.encoding.comparisons import encode_comparisons
from dina_lrm.data.encoding.prepared import opened_cache
from dina_lrm.data.named_source import NamedSource
from dina_lrm.data.sources import write_comparisons
from dina_lrm.images import to_pixels
from dina_lrm.reward_model.model import LatentRewardModel
from tests.data.test_encoding import picture

LIST = "16x16,32x32,48x32"
SIZES = Sizes.parsed(None, LIST)
OWN = {"small": (16, 16), "square": (32, 32), "wide": (48, 32), "odd": (40, 40)}


@pytest.fixture(scope="module")
def backbone(tiny_folder):
    config = BackboneConfig("sd3", str(tiny_folder), depth=1, visual_taps=(1,), prompt_length=0)
    return load_backbone(config, dtype=torch.float32)


@pytest.fixture
def pairs(tmp_path):
    """Pictures of four sizes, all pairs of neighbours."""
    for number, (name, size) in enumerate(OWN.items()):
        picture(number, size).save(tmp_path / f"{name}.png")
    paths = [tmp_path / f"{name}.png" for name in OWN]
    found = [Comparison("a cube", a, b, 1.0) for a, b in itertools.pairwise(paths)]
    write_comparisons(tmp_path / "pairs.jsonl", found)
    return found


def test_pictures_keep_their_size_and_pairs_have_one_of_each_area(tmp_path, pairs, backbone):
    data = encode_comparisons(pairs, backbone, tmp_path / "cache", resolution=SIZES)
    assert data.header.sizes == [(16, 16), (32, 32), (48, 32)]
    assert (data.header.resolution, data.header.resolutions) == (None, ())
    assert data.header.wanted_sizes.same_as(SIZES)
    assert data.header.compute_dtypes == ("float32",)
    fit = data.header.fit
    assert (fit.images, fit.kept, fit.shrunk, fit.cropped, fit.least_scale) == (4, 3, 1, 0, 0.8)
    assert data.sizes() == {"16x16+32x32": 1, "32x32+48x32": 2}
    batch = data.batch(torch.arange(3))
    assert [tuple(part.latents.shape[-2:]) for part in batch.images] == [(4, 4), (8, 8), (8, 12)]
    with torch.no_grad():
        wide = backbone.encode_images(to_pixels([tmp_path / "wide.png"] * 16, Bucket(48, 32)))[0]
    assert torch.equal(batch.images[2].latents[0], wide), "as it is, neither scaled nor cropped"
    assert not verify_cache(tmp_path / "cache", level="deep").problems
    told = opened_cache(tmp_path / "cache").rows()
    assert (told["computed in"], str(told["sizes"])) == ("float32", "16x16,32x32,48x32")
    assert "3 of 4 pictures keep their own size (75.0%), 1 are shrunk (to 0.80" in str(told["images"])


def test_several_resolutions_are_the_shapes_of_each(tmp_path, pairs, backbone):
    data = encode_comparisons(pairs, backbone, tmp_path / "cache", resolution=Sizes((16, 32)))
    assert (data.header.resolution, data.header.resolutions) == (None, (16, 32))
    assert {"16x16", "32x32"} <= {f"{width}x{height}" for width, height in data.header.sizes}
    assert data.header.fit.kept == 2


def test_another_list_is_refused_with_both_said(tmp_path, pairs, backbone):
    encode_comparisons(pairs, backbone, tmp_path / "cache", resolution=SIZES)
    encode_comparisons(pairs, backbone, tmp_path / "other", resolution=Sizes.parsed(None, "32x32"))
    with pytest.raises(ValueError, match=r"has buckets \[\(16, 16\).*\[\(32, 32\)\]; accepted: the same"):
        merge_caches(tmp_path / "cache", tmp_path / "other", tmp_path / "both")
    with pytest.raises(ValueError, match="pictures of 64 pixels were asked for, the cache has 16x16,32x32,48x32"):
        asked = Asked(sizes=Sizes((64,)))
        add_comparisons(tmp_path / "cache", NamedSource("ours", tmp_path / "pairs.jsonl"), asked=asked)
    with pytest.raises(ValueError, match="bucket 20x16: this generator's sides are multiples of"):
        encode_comparisons(pairs, backbone, tmp_path / "unfit", resolution=Sizes.parsed(None, "20x16"))


def test_an_encoding_goes_on_with_its_own_list_and_its_own_type_alone(tmp_path, pairs, backbone):
    class StopError(Exception):
        pass

    def stopped(done, total):
        raise StopError

    with pytest.raises(StopError):
        encode_comparisons(pairs, backbone, tmp_path / "cache", resolution=SIZES, progress=stopped)
    with pytest.raises(ValueError, match=r"other settings: .*\"buckets\": \[\"16x16\".*now given: .*\[\"32x32\"\]"):
        encode_comparisons(pairs, backbone, tmp_path / "cache", resolution=Sizes.parsed(None, "32x32"))
    other = load_backbone(backbone.config, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match=r"\"compute_dtype\": \"float32\".*\"compute_dtype\": \"bfloat16\""):
        encode_comparisons(pairs, other, tmp_path / "cache", resolution=SIZES)
    assert encode_comparisons(pairs, backbone, tmp_path / "cache", resolution=SIZES).header.fit.kept == 3


def test_commands_from_pictures_to_scores(tmp_path, pairs, capsys):
    """Prepare, what it says, more, encoded again, trained on, evaluated, and a picture scored at its own size."""
    cache, found = tmp_path / "cache", tmp_path / "found.json"

    def run(*words):
        assert main([*map(str, words), "--quiet", "--json", str(found)]) == 0, capsys.readouterr().err
        return json.loads(found.read_text())

    made = run("prepare", tmp_path / "pairs.jsonl", "--backbone", "synthetic", "--out", cache, "--buckets", LIST)
    assert (made["fit"]["kept"], made["sizes"], made["compute_dtypes"]) == (3, LIST, ["float32"])
    assert run("cache", "add", cache, tmp_path / "pairs.jsonl", "--buckets", LIST)["added"]["known_pairs"] == 3
    again = run("cache", "verify", cache, "--reencode", "1")["reencoded"]
    assert (again["exact"], again["compute_dtype"], again["recorded"]) == (5, "float32", ["float32"])
    other = encode_again(cache, 1.0, compute_dtype=torch.bfloat16)
    assert other.tolerance > 0
    assert "in bfloat16 (the cache's encoders computed in float32)" in str(other)
    train = ("train", "synthetic", "--data", cache, "--steps", "2", "--batch-tokens", "200", "--validation", "none")
    run(*train, "--out", tmp_path / "run")
    model = LatentRewardModel.from_pretrained(tmp_path / "run" / "model", device="cpu")
    assert tuple(map(str, model.buckets)) == ("16x16", "32x32", "48x32")
    assert "16x16,32x32,48x32" in repr(model)
    assert main([*map(str, train), "--model.buckets", "32x32", "--out", str(tmp_path / "refused")]) == 2
    assert "--model.buckets 16x16 32x32 48x32, or none" in " ".join(capsys.readouterr().err.split())
    run("evaluate", tmp_path / "run" / "model", "--on", cache)
    small = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert model.encode_images(small).shape[-1] * model.backbone.pixels_per_latent == 16, "scored at its own size"
