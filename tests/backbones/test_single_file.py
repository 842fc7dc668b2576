"""A generator that is one file: real weights in the names that they were first published under."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from dina_lrm.backbones.anatomy import anatomy_of
from dina_lrm.backbones.generator_folder import generator_folder
from dina_lrm.backbones.registry import load_backbone
from dina_lrm.generators.load import loaded_generator
from dina_lrm.generators.settings import usual_settings
from tests.tiny.one_file import saved_one_file
from tests.tiny_unets import saved, tiny_sd_pipeline


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def file(tmp_path):
    """The weights, and beside them a folder without any."""
    saved(tiny_sd_pipeline(), tmp_path / "mine")
    for weights in (tmp_path / "mine").rglob("*.safetensors"):
        weights.unlink()
    return saved_one_file(tmp_path / "mine.safetensors")


def same(folder, components=("unet", "vae", "text_encoder")):
    pipeline = tiny_sd_pipeline()
    for name in components:
        wanted, found = getattr(pipeline, name).state_dict(), {}
        for part in (folder / name).glob("*.safetensors"):
            found |= load_file(part)
        assert {key: value for key, value in wanted.items() if not torch.equal(found[key], value)} == {}
    return True


def test_it_is_read_like_the_folder_of_its_pipeline(file):
    folder = generator_folder(file)
    assert same(folder) and generator_folder(str(file)) == folder
    assert folder.parent.name == "generators" and anatomy_of(file).family == "stable-diffusion"
    backbone = load_backbone(anatomy_of(file).backbone(str(file)), dtype=torch.float32)
    assert backbone.encode_prompts(["a red cube"]).prompt_embeds.isfinite().all()


def test_it_is_sampled_as_a_generator(file):
    generator = loaded_generator(usual_settings(str(file)), "cpu")
    assert generator.resolution == 32 and generator.noise([0]).shape == (1, 4, 8, 8)


def test_a_changed_file_is_unpacked_anew(file):
    first = generator_folder(file)
    tensors = {name: 2 * value for name, value in load_file(file).items()}
    save_file(tensors, file)
    assert generator_folder(file) != first


def test_what_the_file_lacks_comes_from_the_folder_beside_it(file, tmp_path):
    model = {name: value for name, value in load_file(file).items() if name.startswith("model.diffusion_model.")}
    save_file(model, file)
    with pytest.raises(ValueError, match=r"mine.safetensors: holds no vae, and .*mine/vae has no weights of one"):
        generator_folder(file)
    shutil.rmtree(tmp_path / "mine")
    saved(tiny_sd_pipeline(), tmp_path / "mine")
    assert same(generator_folder(file))


def test_without_configurations_the_message_says_which_and_where_to(file, tmp_path):
    shutil.rmtree(tmp_path / "mine")
    told = r"configurations and tokenizers are those of .*/stable-diffusion-v1-5, which cannot be had .*; accepted: a "
    with pytest.raises(ValueError, match=told + r"folder .*/mine beside it with model_index.json"):
        generator_folder(file)


@pytest.mark.parametrize("name", ["mine.ckpt", "mine.gguf"])
def test_other_formats_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ValueError, match="may run code when it is read, or is quantised"):
        generator_folder(tmp_path / name)


def test_a_file_that_is_none_is_told_by_its_name(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match=r"broken.safetensors: cannot be loaded"):
        generator_folder(tmp_path / "broken.safetensors")
