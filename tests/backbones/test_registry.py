import json
from dataclasses import replace
from types import FunctionType

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from dina_lrm.backbones.base import Backbone
from dina_lrm.backbones.registry import FAMILIES, family_of_folder, family_of_pipeline, load_backbone
from tests.backbones.families import FAMILY_CASES

CONFIG = FAMILY_CASES[0].config


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_names_a_family_that_is_tested(family):
    assert issubclass(FAMILIES[family].load_class(), Backbone)
    assert any(case.config.family == family for case in FAMILY_CASES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_implements_what_is_abstract_and_overrides_nothing_else(family):
    classes = [c for c in FAMILIES[family].load_class().__mro__ if issubclass(c, Backbone)]
    overridden = [
        f"{child.__name__}.{name}"
        for number, child in enumerate(classes)
        for parent in classes[number + 1 :]
        for name, method in vars(parent).items()
        if isinstance(method, FunctionType | classmethod | property) and name in vars(child) and name != "__init__"
        if not getattr(method, "__isabstractmethod__", False)
    ]
    assert overridden == []


def test_families_are_recognised(tiny_pipeline, tiny_folder):
    assert family_of_pipeline(tiny_pipeline) == "sd3"
    assert family_of_folder(tiny_folder) == "sd3"


def test_other_pipelines_are_refused_with_what_is_supported(tmp_path):
    unet = UNet2DModel(
        sample_size=4, block_out_channels=(4, 4), norm_num_groups=2, layers_per_block=1,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, add_attention=False,
    )  # fmt: skip
    other = DDPMPipeline(unet=unet, scheduler=DDPMScheduler())
    with pytest.raises(ValueError, match=r"got a DDPMPipeline, supported families are sd3 \(Sta.*CONTRIBUTING.md"):
        family_of_pipeline(other)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "KandinskyPipeline"}))
    with pytest.raises(ValueError, match="got a KandinskyPipeline, supported families"):
        family_of_folder(tmp_path)
    with pytest.raises(ValueError, match=r"no model_index.json"):
        family_of_folder(tmp_path / "nowhere")


def test_unknown_families_and_places_are_refused(tiny_pipeline):
    with pytest.raises(ValueError, match="backbone family: got 'sd9', supported families"):
        load_backbone(replace(CONFIG, family="sd9"))
    with pytest.raises(ValueError, match=r"dtype: got torch.float16, but the weights shared .* torch.float32"):
        load_backbone(CONFIG, pipeline=tiny_pipeline, dtype=torch.float16)
    with pytest.raises(ValueError, match="device: got meta, but the pipeline runs on cpu"):
        load_backbone(CONFIG, pipeline=tiny_pipeline, device="meta")
    same = load_backbone(CONFIG, pipeline=tiny_pipeline, dtype=torch.float32, device="cpu")
    assert same.shared and same.transformer is tiny_pipeline.transformer


def test_a_folder_of_another_family_is_refused_with_the_one_it_is_of(tiny_folder):
    for family in set(FAMILIES) - {"sd3"}:
        given = replace(CONFIG, family=family, pretrained=str(tiny_folder), text_taps=())
        with pytest.raises(
            ValueError, match=rf"got '{family}' for .* is of the family 'sd3'; .*\(--model.family sd3\)"
        ):
            load_backbone(given)


def test_standalone_takes_device_and_dtype(tiny_folder):
    backbone = load_backbone(replace(CONFIG, pretrained=str(tiny_folder)), dtype=torch.bfloat16)
    assert not backbone.shared and backbone.dtype == torch.bfloat16 and backbone.device.type == "cpu"


def test_a_reading_that_a_family_does_not_have_is_refused(tiny_pipeline):
    with pytest.raises(ValueError, match="reading: got 'released'; family sd3 has own"):
        load_backbone(replace(CONFIG, reading="released"), pipeline=tiny_pipeline)
