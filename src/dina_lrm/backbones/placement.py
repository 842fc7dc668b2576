"""Where a pipeline's model computes and in what type, without a walk through all components of the pipeline.

diffusers answers both by looking for offloading and casting hooks in every module of every component, each time that it
is asked: milliseconds, several times in every step of sampling. Here one quick look at the model itself decides whether
there are hooks at all; only then is diffusers asked.
"""

import torch
from diffusers import DiffusionPipeline, ModelMixin
from torch import nn


def inner_modules(module: nn.Module) -> list[nn.Module]:
    """What `module.modules()` yields, in another order and several times as fast."""
    found, waiting = {id(module): module}, [module]
    while waiting:
        for child in waiting.pop()._modules.values():
            if child is not None and id(child) not in found:
                found[id(child)] = child
                waiting.append(child)
    return list(found.values())


def execution_device(pipeline: DiffusionPipeline, model: ModelMixin) -> torch.device:
    """Where `model` computes, which with offloading is not where its weights wait."""
    return pipeline._execution_device if _has_hooks(model) else next(model.parameters()).device


def weights_dtype(model: ModelMixin) -> torch.dtype:
    """Return the type of the floating weights, or of computing where hooks cast them layer by layer."""
    if _has_hooks(model):
        return model.dtype
    in_float32 = getattr(model, "_keep_in_fp32_modules", None) or ()
    kept = (p for name, p in model.named_parameters() if not any(part in name for part in in_float32))
    found = next((p.dtype for p in kept if p.is_floating_point()), None)
    return model.dtype if found is None else found


def _has_hooks(model: nn.Module) -> bool:
    seen: set[nn.Module] = set()
    waiting: list[nn.Module | None] = [model]
    while waiting:
        module = waiting.pop()
        if module is None or module in seen:
            continue
        own = module.__dict__
        if "_hf_hook" in own or "_diffusers_hook" in own:
            return True
        seen.add(module)
        waiting += own["_modules"].values()
    return False
