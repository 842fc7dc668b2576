"""Device and type of a shared model are those that diffusers gives, however it is offloaded or cast."""

import pytest
import torch
from accelerate import cpu_offload
from diffusers.hooks import apply_group_offloading, apply_layerwise_casting

from dina_lrm.backbones.placement import execution_device, inner_modules, weights_dtype


def plain(pipeline, model):
    pass


def in_bfloat16(pipeline, model):
    pipeline.to(torch.bfloat16)


def in_groups(pipeline, model):
    cpu = torch.device("cpu")
    apply_group_offloading(model, onload_device=cpu, offload_device=cpu, offload_type="leaf_level")


def in_blocks(pipeline, model):
    cpu = torch.device("cpu")
    apply_group_offloading(
        model, onload_device=cpu, offload_device=cpu, offload_type="block_level", num_blocks_per_group=1
    )


def one_by_one(pipeline, model):
    """The weights wait elsewhere, and are on no device that can compute."""
    for component in pipeline.components.values():
        if isinstance(component, torch.nn.Module):
            cpu_offload(component, torch.device("cpu"))
    assert next(model.parameters()).is_meta


def cast_by_layers(pipeline, model):
    apply_layerwise_casting(model, storage_dtype=torch.bfloat16, compute_dtype=torch.float32)


@pytest.mark.parametrize("placed", [plain, in_bfloat16, in_groups, in_blocks, one_by_one, cast_by_layers])
def test_device_and_type_are_those_of_diffusers(case, pipeline, placed):
    model = case.model(pipeline)
    placed(pipeline, model)
    assert execution_device(pipeline, model) == pipeline._execution_device == torch.device("cpu")
    assert weights_dtype(model) == model.dtype


def test_inner_modules_are_all_modules(case, pipeline):
    model = case.model(pipeline)
    assert {id(m) for m in inner_modules(model)} == {id(m) for m in model.modules()}
