"""The model itself, out of what trainers wrap around it: PEFT's own model, data parallelism, compilation."""

from accelerate.utils import extract_model_from_parallel
from diffusers.models.modeling_utils import ModelMixin
from peft import PeftModel
from torch import nn

from dina_lrm.typed import DinaError


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside; nothing about it or its wrappers changes."""
    inner = extract_model_from_parallel(module, keep_fp32_wrapper=True, keep_torch_compile=False)
    if isinstance(inner, PeftModel):
        return unwrapped(inner.get_base_model())
    assert isinstance(inner, nn.Module)
    return inner


def unwrapped_model(module: nn.Module, wanted: type[ModelMixin]) -> ModelMixin:
    """The model of a pipeline, of the class `wanted`; ValueError for another."""
    inner = unwrapped(module)
    if not isinstance(inner, wanted):
        raise DinaError(
            f"pipeline: its model is a {type(inner).__name__}; accepted: a {wanted.__name__}, plain or wrapped by PEFT "
            "or for data parallelism"
        )
    return inner
