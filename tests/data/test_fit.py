import numpy as np
import pytest
from PIL import Image

from dina_lrm.backbones.registry import load_backbone
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.data.cache.fit import SizeFit
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
    wide = max(bucket.width / bucket.height for bucket in data.header.buckets)
    assert held.fit == SizeFit(3, 1, 1, 1, pytest.approx(1 - wide / 3))
    assert str(held.fit) in list(held.notes())
    assert held.to_dict()["fit"]["cropped"] == 1
    batch = data.batch(data.pairs.number)
    assert len(batch.images) == 2, "each picture has its own size"
