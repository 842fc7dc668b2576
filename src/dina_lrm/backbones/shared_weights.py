"""Notices that weights which somebody else owns are trained, or have changed since a reward model began to read them.

A reward that shares a policy's weights (`pipeline=`) is exact while the policy learns a LoRA, and scores by other
weights as soon as those themselves are trained, fused with a LoRA for good, or loaded anew. Some values of every tensor
are kept to compare with. Each time, versions of all tensors (which torch counts) and the values of a few are looked at,
and the values of all where one of those differs: training moves every tensor, so that a few tell.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import torch
from diffusers import DiffusionPipeline
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from dina_lrm.backbones.unwrapped import unwrapped
from dina_lrm.typed import DinaError

_VALUES: Final = 8
"""How many values of each tensor are compared."""
_TENSORS: Final = 16
"""Whose values are looked at each time."""
_ROUNDINGS: Final = 4
"""A LoRA that is fused and taken back leaves its weights a rounding or two from where they were."""


class SharedWeights:
    """The pretrained weights of modules by name, as they are now; `reads` says which of a module's matter."""

    def __init__(self, modules: Mapping[str, nn.Module], reads: Callable[[str], bool]) -> None:
        self._modules, self._reads = dict(modules), reads
        found = self._found()
        self._kept = {name: (_sample(place.tensor), place.tensor.dtype) for name, place in found.items()}
        self._watched = list(found)[:: max(1, len(found) // _TENSORS)]
        self._places = found

    @classmethod
    def of_pipeline(cls, pipeline: DiffusionPipeline, model: nn.Module, unread: Sequence[str]) -> "SharedWeights":
        """Collect weights of a pipeline's text encoders and of its `model`, but for what is `unread` of that, by
        name.
        """
        parts = {
            name: unwrapped(part)
            for name, part in pipeline.components.items()
            if isinstance(part, nn.Module) and (unwrapped(part) is model or name.startswith("text_encoder"))
        }
        own = next(name for name, part in parts.items() if part is model)
        skipped = tuple(f"{own}.{name}." for name in unread)
        return cls(parts, lambda name: not name.startswith(skipped))

    def check(self) -> None:
        """ValueError when a weight is not what it was but for rounding, or is being trained."""
        places = self._places
        self._refuse("is being trained", (name for name, place in places.items() if place.learns))
        if all(place.untouched for place in places.values()) and not self._changed(self._watched, places):
            return
        found = self._found()
        changed = self._changed(list(self._kept), found)
        if changed is not None:
            raise DinaError(
                f"reward model: it shares the weights of a generator (pipeline=), and {changed} has changed since it "
                "was loaded, so that it would score by other weights; accepted: train a LoRA on the generator, or load "
                "the reward model without pipeline="
            )
        self._places = found

    def expect_frozen(self) -> None:
        """ValueError where a weight takes a gradient."""
        self._refuse("takes a gradient", (name for name, place in self._places.items() if place.tensor.requires_grad))

    def _refuse(self, what: str, names: Iterator[str]) -> None:
        if learning := next(names, None):
            raise DinaError(
                f"reward model: it shares the weights of a generator (pipeline=), and {learning} {what}, so that it "
                "would soon score by other weights; accepted: train a LoRA on the generator (freeze its weights with "
                "requires_grad_(False)), or load the reward model without pipeline="
            )

    def _found(self) -> dict[str, "_Place"]:
        return {
            f"{part}.{name}": place
            for part, module in self._modules.items()
            for name, place in _pretrained(module)
            if self._reads(f"{part}.{name}") and _readable(place.tensor)
        }

    def _changed(self, names: Sequence[str], found: Mapping[str, "_Place"]) -> str | None:
        """The first of these weights that is not what it was."""
        return next((name for name in names if name not in found or self._moved(name, found[name].tensor)), None)

    def _moved(self, name: str, tensor: Tensor) -> bool:
        (kept, dtype), values = self._kept[name], _sample(tensor)
        if values.shape != kept.shape:
            return True
        if torch.equal(values, kept):
            return False
        rounding = max(torch.finfo(dtype).eps, torch.finfo(tensor.dtype).eps)
        return bool(((values - kept).abs() > _ROUNDINGS * rounding * kept.abs().clamp(min=kept.abs().mean())).any())


class _Place:
    """Where a weight is held, and what it was when it was last looked at."""

    __slots__ = ("_holder", "_key", "_version", "tensor")

    def __init__(self, holder: nn.Module, key: str, tensor: Tensor) -> None:
        self._holder, self._key, self.tensor = holder, key, tensor
        self._version = _version(tensor)

    @property
    def untouched(self) -> bool:
        """Whether the same tensor is there, and torch counts no change to it."""
        held = self._holder._parameters.get(self._key)
        return held is self.tensor and _version(self.tensor) == self._version

    @property
    def learns(self) -> bool:
        """Whether it gets a gradient in a module that trains. A pipeline that was only loaded does not train, though
        all of its weights would take a gradient.
        """
        return self.tensor.requires_grad and self._holder.training


def _version(tensor: Tensor) -> int:
    # Tensors made in inference mode are not counted
    return -1 if tensor.is_inference() else tensor._version


def _pretrained(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, _Place]]:
    """Parameters under the names that they have without adapters, and no adapter's."""
    while isinstance(module, BaseTunerLayer):
        module = module.get_base_layer()
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield prefix + name, _Place(module, name, parameter)
    for name, child in module._modules.items():
        if child is not None:
            yield from _pretrained(child, f"{prefix}{name}.")


def _readable(tensor: Tensor) -> bool:
    """False for what waits elsewhere (sequential offloading) and what is quantised, which nobody trains."""
    return tensor.is_floating_point() and not tensor.is_meta and type(tensor) in (Tensor, nn.Parameter)


def _sample(tensor: Tensor) -> Tensor:
    """Values from all over a tensor, in float32 on the CPU."""
    held = tensor.detach()
    step = max(1, held.numel() // _VALUES)
    dense = held.is_contiguous() or (held.ndim == 4 and held.is_contiguous(memory_format=torch.channels_last))
    flat = held.as_strided((held.numel(),), (1,)) if dense else held.flatten()
    return flat[::step].to("cpu", torch.float32, copy=True)
