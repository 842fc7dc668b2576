import numpy as np
import pytest
from PIL import Image

from dina_lrm.backbones.registry import load_backbone
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.data.cache.fit import FitTally, SizeFit
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.encoding.comparisons import encode_comparisons
from dina_lrm.data.encoding.prepared import opened_cache


@pytest.fixture
def pictures(tmp_path):
    """Of the bucket's size, twice as large, and three times as wide as high."""
    generator = np.random.default_rng(0)
    for name, (width, height) in {"own": (32, 32), "large": (64, 64), "wide": (96, 32)}.items():
        Image.fromarray(generator.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_pictures_are_counted_by_what_becomes_of_them(pictures, tiny_folder):
    sides = [("own", "large"), ("large", "wide")]
    comparisons = [Comparison("a", pictures / f"{a}.png", pictures / f"{b}.png", preference=1.0) for a, b in sides]
    backbone = load_backbone(BackboneConfig("sd3", str(tiny_folder), depth=1, visual_taps=(1,), prompt_length=0))
    data = encode_comparisons(comparisons, backbone, pictures / "cache", resolution=32)
    held = opened_cache(pictures / "cache")
    (wide,) = {bucket for bucket in data.header.buckets if bucket.width > bucket.height and bucket.shards}
    by = max(wide.width / 96, wide.height / 32)
    lost = 1 - wide.width * wide.height / (96 * 32 * by**2)
    assert held.fit == held.header.fit
    counts = {"images": 3, "kept": 1, "shrunk": 2, "enlarged": 0, "cut": 0, "cropped": 1}
    shares = {"lost": lost / 3, "most": lost, "least_scale": 0.5, "most_scale": 1.0}
    assert held.fit == SizeFit(**counts, **{name: pytest.approx(share, abs=1e-6) for name, share in shares.items()})
    assert str(held.fit) in list(held.notes())
    assert held.to_dict()["fit"]["cropped"] == 1
    batch = data.batch(data.pairs.number)
    assert len(batch.images) == 2, "each picture has its own size"


def test_what_is_not_known_is_not_counted():
    tally = FitTally([(32, 32)])
    assert tally.fit is None, "no picture"
    tally.count(0, 32, 40)
    assert (tally.fit.images, tally.fit.cut, tally.fit.cropped, tally.fit.most) == (1, 1, 1, 0.2)
    tally.count(0, 0, 0)
    assert tally.fit is None, "a picture of no known size"
    unknown = FitTally([(None, None)])
    unknown.count(0, 32, 32)
    assert unknown.fit is None
