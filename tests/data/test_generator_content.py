"""A generator is known by what its VAE and text encoders hold, wherever the folder lies and whatever it is called."""

import json
import shutil
from dataclasses import replace

import pytest

from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.format import BackboneIdentity
from dina_lrm.data.cache.generator_content import encoders_content
from tests.data.test_cache import world


def config(folder):
    return BackboneConfig("sd3", str(folder), depth=1, visual_taps=(1,), prompt_length=0)


@pytest.fixture
def generator(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder, tmp_path / "generator")


def test_a_moved_or_copied_generator_fits_its_cache(generator, tmp_path):
    world().save(tmp_path / "cache", config(generator))
    copy = shutil.copytree(generator, tmp_path / "elsewhere")
    text = json.loads((copy / "vae" / "config.json").read_text()) | {"_name_or_path": "/another/machine"}
    (copy / "vae" / "config.json").write_text(json.dumps(text))
    shutil.rmtree(generator)
    assert len(EncodedComparisons.load(tmp_path / "cache", config(copy))) == 6


@pytest.mark.parametrize("component", ["vae", "text_encoder", "tokenizer_2"])
def test_another_generator_at_the_same_place_is_refused(generator, tmp_path, component):
    world().save(tmp_path / "cache", config(generator))
    file = max((generator / component).iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"was encoded by sd3 .* of content .*; this backbone is sd3 .* of content"):
        EncodedComparisons.load(tmp_path / "cache", config(generator))


def test_what_does_not_encode_does_not_matter(generator, tmp_path):
    before = encoders_content(str(generator), None, 0)
    (generator / "transformer" / "config.json").write_text("{}")
    (generator / "README.md").write_text("text")
    weights = next((generator / "vae").glob("*.safetensors"))
    shutil.copy(weights, weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert encoders_content(str(generator), None, 0) == before != ""


def test_encoders_whose_content_is_not_known_go_by_the_place(generator, tmp_path):
    here = BackboneIdentity.of(config(generator))
    earlier = replace(here, content="")  # as caches of earlier versions say it
    elsewhere = BackboneIdentity.of(config(shutil.copytree(generator, tmp_path / "elsewhere")))
    assert earlier.same_as(here) and not earlier.same_as(elsewhere) and here.same_as(elsewhere)


def test_a_generator_that_is_not_here_has_no_content(tmp_path):
    assert encoders_content("nowhere", None, 0) == encoders_content(str(tmp_path), None, 0) == ""
