"""A counter of the models that are in memory: what stands in no list of ours, but lives, is counted too."""

from __future__ import annotations

import gc
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakSet

from diffusers import ModelMixin
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import PreTrainedModel

from dina_lrm.backbones.weight_bytes import weight_bytes


class AliveModels(AbstractContextManager["AliveModels"]):
    """Inside, looks at all models that live whenever one of them begins to compute; those that lived before do not
    count.

    `most_bytes` is the most that their weights took at once, `together` how many lived at once, `calls` the classes
    that computed, each instance once, in order.
    """

    def __init__(self) -> None:
        self.most_bytes = self.together = 0
        self.calls: list[str] = []
        self._before = _models()
        self._seen = WeakSet(part for model in self._before for part in model.modules())

    def __enter__(self) -> AliveModels:
        self._hook = register_module_forward_pre_hook(self._look)
        return self

    def __exit__(self, *raised: object) -> None:
        self._hook.remove()

    def _look(self, module: nn.Module, given: Any) -> None:
        # A look goes through all objects there are: one at each model, and one at what computes outside of all models
        if module in self._seen:
            return
        alive = [model for model in _models() if all(model is not other for other in self._before)]
        begun = [model for model in alive if any(part is module for part in model.modules())]
        for model in begun:
            self.calls.append(type(model).__name__)
            self.most_bytes = max(self.most_bytes, weight_bytes(alive))
            self.together = max(self.together, len(alive))
            self._seen.update(model.modules())
        if not begun:
            inside = {id(part) for model in alive for part in model.modules()}
            self._seen.update(part for part in module.modules() if id(part) not in inside)


def _models() -> list[nn.Module]:
    """The outermost ones: a text encoder holds models within it."""
    # By their types: asked for its class, an object of torch that is kept for old names warns
    every = gc.get_objects()
    kinds = {kind for kind in set(map(type, every)) if issubclass(kind, PreTrainedModel | ModelMixin)}
    found = [each for each in every if type(each) in kinds]
    inside = {id(part) for model in found for part in model.modules() if part is not model}
    return [model for model in found if id(model) not in inside]
