"""Attention backends by diffusers' names, for transformers that dispatch on them and for those that do not (yet).

diffusers' `set_attention_backend` silently passes over attention processors that call PyTorch's scaled dot product
attention themselves (SD3's do). For those, PyTorch's own choice of kernel gives the native backends; others are
refused. "tiled" is our own, for processors in bfloat16.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_processor import Attention
from diffusers.models.modeling_utils import ModelMixin
from torch.nn.attention import SDPBackend, sdpa_kernel

from dina_lrm.backbones.tiled_attention import TiledAttention
from dina_lrm.typed import DinaError

AttentionChoice = Callable[[], AbstractContextManager[None]]
"""Gives the context that blocks are called in."""

ATTENTION_LAYERS = (Attention, AttentionModuleMixin)
"""diffusers' older and newer kind of attention layer."""

_NATIVE: dict[str, AttentionChoice] = {
    "native": nullcontext,
    "tiled": TiledAttention,
    "_native_cudnn": partial(sdpa_kernel, SDPBackend.CUDNN_ATTENTION),
    "_native_efficient": partial(sdpa_kernel, SDPBackend.EFFICIENT_ATTENTION),
    "_native_flash": partial(sdpa_kernel, SDPBackend.FLASH_ATTENTION),
    "_native_math": partial(sdpa_kernel, SDPBackend.MATH),
}


def choose_attention(transformer: ModelMixin, name: str) -> AttentionChoice:
    """Set the backend `name` on the transformer, or return the context that brings it about.

    Raises ValueError for a name that would have no effect.
    """
    if name == "tiled":
        return TiledAttention
    layers = [module for module in transformer.modules() if isinstance(module, ATTENTION_LAYERS)]
    if any("_attention_backend" in dir(layer.processor) for layer in layers):
        transformer.set_attention_backend(name)
        return nullcontext
    if name not in _NATIVE:
        raise DinaError(
            f"attention backend: got {name!r}; {type(transformer).__name__} calls PyTorch's attention directly, "
            f"so that only {', '.join(_NATIVE)} are accepted"
        )
    return _NATIVE[name]
