"""What a folder's configurations say, beside what the published generators of that family are read with."""

import json
import subprocess
import sys

import pytest

from dina_lrm.backbones.anatomy import _FAMILIES, anatomy_of
from dina_lrm.backbones.families import FAMILIES
from tests.backbones.families import FAMILY_CASES
from tests.backbones.full_size import FULL_SIZE, FULL_SIZE_UNETS, META


def published(folder, pipeline, component, model, vae, **listed):
    """A folder with the configurations of a published generator, and nothing else."""
    model.save_config(folder / component)
    (folder / "vae").mkdir()
    (folder / "vae" / "config.json").write_text(json.dumps(vae))
    index = {"_class_name": pipeline, **{name: ["transformers", "CLIPTextModel"] for name in listed}}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_every_family_says_what_it_is():
    assert set(_FAMILIES) == set(FAMILIES)


@pytest.mark.parametrize("name", FULL_SIZE)
def test_a_published_transformer_is_read_as_deep_as_the_documents_say(name, tmp_path):
    size = FULL_SIZE[name]
    family = FAMILIES[size.family].load_class()
    with META:
        model = family.transformer_class(**size.transformer)
    vae = {key: list(value) if isinstance(value, tuple) else value for key, value in size.vae.items()}
    vae |= {"dim_mult": [1, 2, 4, 4]} if size.family == "qwen-image" else {}
    encoders = {"sd3": "text_encoder_3", "flux": "text_encoder_2"}
    listed = {encoders.get(size.family, "text_encoder"): None}
    folder = published(tmp_path, FAMILIES[size.family].pipelines[0], "transformer", model, vae, **listed)
    anatomy = anatomy_of(folder)
    config = anatomy.backbone(str(folder))
    assert (anatomy.family, config.depth, anatomy.resolution) == (size.family, size.depth, 1024)
    assert config.visual_taps[-1] == size.depth and config.prompt_length == 128
    assert config.text_taps == ((0,) if size.text_taps == (0,) else config.visual_taps)
    if name in ("SD3.5-Medium", "Z-Image-Turbo", "Qwen-Image"):
        assert config.visual_taps == size.visual_taps


@pytest.mark.parametrize(("name", "side"), [("Stable Diffusion 1.5", 512), ("Stable Diffusion XL", 1024)])
def test_a_published_unet_is_read_to_its_middle(name, side, tmp_path):
    from diffusers import UNet2DConditionModel

    size = FULL_SIZE_UNETS[name]
    with META:
        unet = UNet2DConditionModel(**size.unet)
    vae = {"block_out_channels": [128, 256, 512, 512], "sample_size": 512}
    anatomy = anatomy_of(published(tmp_path, "StableDiffusionPipeline", "unet", unet, vae))
    config = anatomy.backbone("x")
    assert (config.depth, config.visual_taps, config.text_taps) == (size.depth, tuple(range(1, size.depth + 1)), (0,))
    assert (anatomy.resolution, anatomy.prompt_length, anatomy.width) == (side, 0, 1280)
    assert anatomy.guidance == (5.0 if side == 1024 else 7.5)


@pytest.mark.parametrize("case", FAMILY_CASES, ids=lambda case: case.name)
def test_what_is_said_of_a_folder_is_what_its_model_has(case, tmp_path):
    folder = case.save(tmp_path / "generator")
    anatomy = anatomy_of(folder)
    backbone = case.standalone(folder)
    assert anatomy.family == case.config.family
    assert anatomy.blocks == len(case.shared(case.pipeline()).block_names(case.model(case.pipeline())))
    assert anatomy.width == max(backbone.visual_widths)
    assert anatomy.resolution % (backbone.pixels_per_latent * backbone.latent_multiple) == 0
    whole = anatomy.backbone(str(folder), anatomy.blocks)
    assert whole.depth == whole.visual_taps[-1] == anatomy.blocks


def test_a_depth_that_is_given_moves_the_taps(tiny_folder):
    config = anatomy_of(tiny_folder).backbone("x", depth=3)
    assert (config.depth, config.visual_taps, config.text_taps) == (3, (1, 2, 3), (1, 2, 3))


def test_the_last_block_of_stable_diffusion_3_has_no_text(tiny_folder):
    config = anatomy_of(tiny_folder).backbone("x", depth=4)
    assert config.visual_taps == (2, 3, 4) and config.text_taps == (2, 3)


def test_what_is_missing_is_named(tiny_folder, tmp_path):
    (tmp_path / "transformer").mkdir()
    (tmp_path / "model_index.json").write_bytes((tiny_folder / "model_index.json").read_bytes())
    (tmp_path / "transformer" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"transformer/config.json: no 'num_layers' as the family sd3 has"):
        anatomy_of(tmp_path)


def test_it_is_read_without_torch():
    program = (
        "import sys; from dina_lrm.backbones.anatomy import anatomy_of; anatomy_of('synthetic');"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
