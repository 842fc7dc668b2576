"""Pipelines whose components are stored in variants of their weights, each in its own or all in one."""

import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from dina_lrm.backbones.pipeline_folder import load_pipeline
from dina_lrm.backbones.registry import load_backbone
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.backbones.weight_files import stored_variant
from tests.tiny_unets import tiny_sd_pipeline

WITHOUT_T5 = dict.fromkeys(["text_encoder_3", "tokenizer_3"])
MODELS = ("transformer", "vae", "text_encoder", "text_encoder_2")
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@pytest.fixture
def copied(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder, tmp_path / "copy")


def rename(folder, variant, beside=False):
    """Store the weights of a model folder as a variant; the plain file goes unless it is to stay `beside`."""
    (path,) = folder.glob("*.safetensors")
    tensors = load_file(path)
    found = {k: t.to(DTYPES[variant]) if t.is_floating_point() else t for k, t in tensors.items()}
    save_file(found, path.with_suffix(f".{variant}.safetensors"), {"format": "pt"})
    if not beside:
        path.unlink()
    return tensors if beside else found


def same(module, wanted):
    found = module.state_dict()
    return all(torch.equal(found[name], tensor.float()) for name, tensor in wanted.items() if name in found)


@pytest.mark.parametrize(
    "variants",
    [
        dict.fromkeys(MODELS, "fp16"),
        dict.fromkeys(MODELS, "bf16"),
        {"transformer": "fp16"},
        {"text_encoder_2": "bf16", "vae": "fp16", "transformer": "fp32"},
    ],
)
def test_each_component_is_read_from_the_variant_it_is_stored_in(copied, variants, caplog):
    wanted = {name: rename(copied / name, variant) for name, variant in variants.items()}
    with caplog.at_level(logging.INFO, "dina_lrm"):
        pipeline = load_pipeline(copied, torch.float32, WITHOUT_T5)
    for name, tensors in wanted.items():
        assert same(getattr(pipeline, name), tensors), name
        assert f"{copied / name}: the {variants[name]} weights are read" in caplog.text
    config = BackboneConfig("sd3", str(copied), 1, (1,), (), prompt_length=0)
    alone, shared = load_backbone(config, dtype=torch.float32), load_backbone(config, pipeline=pipeline)
    pixels = torch.rand(1, 3, 16, 16)
    assert torch.equal(alone.encode_images(pixels), shared.encode_images(pixels))
    assert torch.equal(alone.encode_prompts(["a cube"]).prompt_embeds, shared.encode_prompts(["a cube"]).prompt_embeds)


def test_plain_weights_are_taken_before_a_variant_beside_them(copied):
    wanted = rename(copied / "transformer", "fp16", beside=True)
    rename(copied / "vae", "fp16")
    pipeline = load_pipeline(copied, torch.float32, WITHOUT_T5)
    assert same(pipeline.transformer, wanted)


def test_a_unet_pipeline_in_half_precision_files_is_read(tmp_path):
    pipeline = tiny_sd_pipeline()
    pipeline.save_pretrained(tmp_path, variant="fp16", max_shard_size="20KB")
    assert list((tmp_path / "unet").glob("*index.fp16.json"))
    read = load_pipeline(tmp_path, torch.float32)
    assert same(read.unet, pipeline.unet.state_dict()) and same(read.text_encoder, pipeline.text_encoder.state_dict())
    config = BackboneConfig("stable-diffusion", str(tmp_path), 1, (1,), (), prompt_length=0)
    backbone = load_backbone(config, dtype=torch.float32)
    assert same(backbone.transformer, read.unet.state_dict())


@pytest.mark.parametrize(
    ("names", "variant"),
    [
        (["model.safetensors", "model.fp16.safetensors"], None),
        (["model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"], "fp16"),
        (["diffusion_pytorch_model-00001-of-00002.bf16.safetensors"], "bf16"),
        (["model-00001-of-00002.safetensors", "model.fp16.safetensors"], None),
        (["model.bf16.safetensors", "model.fp16.safetensors"], "fp16"),
        (["diffusion_pytorch_model.non_ema.safetensors", "diffusion_pytorch_model.safetensors"], None),
        (["notes.fp16.safetensors", "model.bf16.safetensors"], "bf16"),
        ([], None),
    ],
)
def test_the_variant_follows_from_the_names_of_the_files(tmp_path, names, variant):
    for name in names:
        (tmp_path / name).touch()
    assert stored_variant(tmp_path) == variant


def test_what_cannot_be_read_is_refused_by_its_name(copied):
    rename(copied / "vae", "fp16").clear()
    (file,) = (copied / "vae").glob("*.safetensors")
    file.rename(file.with_name("diffusion_pytorch_model.int4.safetensors"))
    with pytest.raises(ValueError, match=r"vae: holds weights of the variants int4; accepted: plain, fp32, fp16, bf16"):
        load_pipeline(copied, torch.float32)
    (copied / "vae" / "diffusion_pytorch_model.int4.safetensors").rename(copied / "vae" / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match=r"vae: holds diffusion_pytorch_model.bin, which may run code when it is read"):
        load_pipeline(copied, torch.float32)
