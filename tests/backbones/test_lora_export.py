"""A LoRA that is exported for other tools is the same update when it is read again, under the names they know."""

import re

import pytest
import torch
from safetensors.torch import load_file

from dina_lrm.backbones.lora_export import _READ, check_export, write_export
from dina_lrm.backbones.lora_file import read_lora
from dina_lrm.backbones.registry import FAMILIES
from dina_lrm.generators.generator import Generator
from tests.tiny import tiny_sd3_pipeline
from tests.tiny.flux import tiny_flux_pipeline
from tests.tiny.qwen_image import tiny_qwen_pipeline
from tests.tiny.z_image import tiny_z_image_pipeline
from tests.tiny_unets import tiny_sd_pipeline, tiny_sdxl_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
WEIGHTS = "pytorch_lora_weights.safetensors"
# What ComfyUI and sd-scripts look for: a U-Net's modules of attention; the joined layers of FLUX
NAMES = {
    ("kohya", "unet"): r"lora_unet_(down|up|mid)_blocks?_[a-z0-9_]+_to_(q|k|v|out_0)\.(lora_(down|up)\.weight|alpha)",
    ("kohya", "flux"): r"lora_unet_(double_blocks_\d+_(img|txt)_attn_(qkv|proj)|single_blocks_\d+_linear1)"
    r"\.(lora_(down|up)\.weight|alpha)",
    ("comfyui", "transformer"): r"transformer\.[a-z0-9_.]+\.(lora_[AB]\.weight|alpha)",
}
CASES = [
    (tiny_sd_pipeline, "kohya", "unet"),
    (tiny_sdxl_pipeline, "kohya", "unet"),
    (tiny_sd_pipeline, "comfyui", "unet"),
    (tiny_sdxl_pipeline, "comfyui", "unet"),
    (tiny_flux_pipeline, "comfyui", "transformer"),
    (tiny_sd3_pipeline, "comfyui", "transformer"),
    (tiny_qwen_pipeline, "comfyui", "transformer"),
    (tiny_z_image_pipeline, "comfyui", "transformer"),
]


def exported(make, layout, folder):
    """A generator with a LoRA of random values, its updates, and the tensors of what is exported of it."""
    generator = Generator(make(), 32, 2, 6.0, prompt_length=4 if "sd" not in make.__name__ else 0, guidance=1.0)
    torch.manual_seed(0)
    for parameter in generator.parameters.values():
        parameter.data = torch.randn(parameter.shape)
    generator.save_lora(folder)
    write_export(folder / WEIGHTS, folder / "export.safetensors", layout, generator.backbone, generator.pipeline)
    updates = read_lora(folder / WEIGHTS, generator.model, generator.pipeline).updates
    return generator, updates, load_file(folder / "export.safetensors")


def expect_names(tensors, pattern):
    assert tensors and all(re.fullmatch(pattern, name) for name in tensors)
    assert 3 * len([name for name in tensors if name.endswith(".alpha")]) == len(tensors), "an alpha beside each pair"


@pytest.mark.parametrize(("make", "layout", "kind"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_what_is_exported_is_the_same_update_under_the_names_of_the_tool(make, layout, kind, tmp_path):
    generator, updates, tensors = exported(make, layout, tmp_path)
    expect_names(tensors, NAMES.get((layout, kind)) or NAMES["kohya", kind])
    again = read_lora(tmp_path / "export.safetensors", generator.model, generator.pipeline).updates
    assert set(again) == set(updates)
    for name, update in updates.items():
        torch.testing.assert_close(again[name].up @ again[name].down, update.up @ update.down)


def test_the_layers_that_flux_joins_are_joined_in_its_published_names(tmp_path):
    generator, updates, tensors = exported(tiny_flux_pipeline, "kohya", tmp_path)
    expect_names(tensors, NAMES["kohya", "flux"])

    def written(name):
        scale = tensors[f"lora_unet_{name}.alpha"] / len(tensors[f"lora_unet_{name}.lora_down.weight"])
        return scale * tensors[f"lora_unet_{name}.lora_up.weight"] @ tensors[f"lora_unet_{name}.lora_down.weight"]

    def update(block, names):
        return torch.cat([updates[f"{block}.attn.{name}"].up @ updates[f"{block}.attn.{name}"].down for name in names])

    double, single = "transformer_blocks.0", "single_transformer_blocks.0"
    for part, names in {"img": ("to_q", "to_k", "to_v"), "txt": ("add_q_proj", "add_k_proj", "add_v_proj")}.items():
        torch.testing.assert_close(written(f"double_blocks_0_{part}_attn_qkv"), update(double, names))
    torch.testing.assert_close(written("double_blocks_0_txt_attn_proj"), update(double, ["to_add_out"]))
    torch.testing.assert_close(written("double_blocks_0_img_attn_proj"), update(double, ["to_out.0"]))
    joined, own = written("single_blocks_0_linear1"), update(single, ("to_q", "to_k", "to_v"))
    torch.testing.assert_close(joined[: len(own)], own)
    assert len(joined) - len(own) == generator.model.get_submodule(f"{single}.proj_mlp").out_features
    assert not joined[len(own) :].any()


def test_a_family_that_no_tool_reads_in_a_layout_is_refused():
    for layout, families in _READ.items():
        assert set(families) < set(FAMILIES)
        for family in set(FAMILIES) - set(families):
            with pytest.raises(ValueError, match=f"export {layout}: got a generator of the family '{family}'"):
                check_export(layout, family)
