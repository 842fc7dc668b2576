"""What an optimiser step computes, and how much of what the device can do that is (model FLOPs utilisation).

FLOPs are those of the matrix products, convolutions and attention of one forward and backward over an image, counted on
its shapes alone (no number is computed), by size of image and of prompt. A multiplication and an addition are two;
activations that are computed again count once, as is usual: what is computed twice is no use. The ceiling is measured:
the best of some large matrix products in the type of compute, on the device and with the threads of the run.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any, Final

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.heads.reading import read_features
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.sharding import is_shared_out
from dina_lrm.training.batching import StepInputs

_BUDGET: Final = 0.1
"""Seconds that the ceiling is measured for."""
_COUNTED: Final = 2
"""Images that are counted on: some layers treat a batch of one in a way of its own."""


@dataclass(frozen=True)
class ImageCost:
    """FLOPs of a forward and backward over one image, and the tokens that the blocks see of it and of its prompt."""

    flops: float = 0.0
    tokens: float = 0.0

    def __add__(self, other: ImageCost) -> ImageCost:
        return ImageCost(self.flops + other.flops, self.tokens + other.tokens)


_KNOWN: Final[dict[tuple[object, ...], ImageCost]] = {}
"""What was counted in this process, by what it follows from: a study trains many models of one build."""


class StepCosts:
    """The cost of steps by the shapes of their images and prompts; each pair of shapes is counted once.

    `settings` are all that `model` was made by: models of one process that were made by equal ones, and have the same
    modules and the same weights that learn, cost the same.
    """

    def __init__(self, model: LatentRewardModel, settings: object) -> None:
        self._model, self._build = model, _build(model, settings)

    def of(self, inputs: StepInputs) -> ImageCost:
        """This process's share of a step."""
        total = ImageCost()
        for micro in inputs.micro_batches:
            levels = micro.noise_level.shape[1] if micro.noise_level.ndim > 1 else 1
            for images in micro.batch.images:
                one = self._of_one(images.latents, images.conditioning)
                count = len(images) * levels
                total += ImageCost(one.flops * count, one.tokens * count)
        return total

    def _of_one(self, latents: Tensor, conditioning: Conditioning) -> ImageCost:
        key = (self._build, latents.shape[1:], conditioning.shape, conditioning.prompt_mask is not None)
        if key not in _KNOWN:
            _KNOWN[key] = counted(self._model, latents[:1], conditioning[[0]])
        return _KNOWN[key]


def _build(model: LatentRewardModel, settings: object) -> str:
    """A name for all that the cost of a model follows from, beside the shapes of what it is given."""
    modules = [(name, type(module)) for name, module in model.named_modules()]
    weights = [(name, tuple(p.shape), p.dtype, p.device, p.requires_grad) for name, p in model.named_parameters()]
    return sha256(repr((settings, model.config, model.training, modules, weights)).encode()).hexdigest()


def counted(model: LatentRewardModel, latents: Tensor, conditioning: Conditioning) -> ImageCost:
    """The cost of an image of this shape with a prompt of this shape; nothing is computed, no gradient is left.

    NaN for a model whose shapes follow from the values of its mask (Z-Image's), which cannot be counted on shapes, and
    for one whose weights are shared out among processes.
    """
    if any(is_shared_out(parameter) for parameter in model.parameters()):
        return ImageCost(math.nan, math.nan)
    try:
        return _counted(model, latents, conditioning)
    except (DynamicOutputShapeException, DataDependentOutputException):
        return ImageCost(math.nan, math.nan)


def _counted(model: LatentRewardModel, latents: Tensor, conditioning: Conditioning) -> ImageCost:
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    counter = _Counter()
    shape, masked = conditioning.shape, conditioning.prompt_mask is not None
    with torch.compiler.set_stance("force_eager"), FakeTensorMode(allow_non_fake_inputs=True), counter:
        device = model.device
        images = torch.empty(_COUNTED, *latents.shape[1:], device=device)
        levels = torch.empty(_COUNTED, device=device)
        prompts = Conditioning(
            torch.empty(_COUNTED, shape.tokens, shape.width, device=device),
            torch.empty(_COUNTED, shape.pooled, device=device) if shape.pooled else None,
            torch.ones(_COUNTED, shape.tokens, dtype=torch.bool, device=device) if masked else None,
        )
        with model.backbone.rows_read.of(torch.zeros(_COUNTED, dtype=torch.int64, device=device)):
            features = read_features(model.backbone, model.head, images, levels, prompts)
            torch.autograd.grad(model.head([features]).sum(), learning, allow_unused=True)
    tokens = max(one.shape[1] for one in features.visual) + max((one.shape[1] for one in features.text), default=0)
    return ImageCost(counter.flops / _COUNTED, tokens)


class _Counter(TorchDispatchMode):
    """Adds up what torch's own counter would, which also tells modules apart and takes about twice as long."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self._rules = FlopCounterMode(display=False, custom_mapping=_ON_CPU).flop_registry

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        rule = self._rules.get(func._overloadpacket)
        if rule is not None:
            self.flops += rule(*args, **kwargs, out_val=out)
        return out


def matmul_ceiling(device: torch.device, dtype: torch.dtype, budget: float = _BUDGET) -> float:
    """The most FLOPs a second that a product of two square matrices reaches here, in about `budget` seconds."""
    side = 1024 if device.type == "cpu" else 8192
    left, right = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    left @ right
    best, end = 0.0, time.perf_counter() + budget
    while True:
        _finish(device)
        start = time.perf_counter()
        left @ right
        _finish(device)
        now = time.perf_counter()
        best = max(best, 2 * side**3 / (now - start))
        if now >= end:
            return best


def known_ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """`matmul_ceiling` as it was when this process asked first with so many threads: once for all runs of a study."""
    return _ceiling(device, dtype, torch.get_num_threads())


@cache
def _ceiling(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    return matmul_ceiling(device, dtype)


def _finish(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _forward_flops(query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:  # noqa: ANN401 - shapes, as the counter calls it
    return int(sdpa_flop_count(query, key, value))


def _backward_flops(grad: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401
    # Two products forward; backward four, and the scores once more
    return int(sdpa_flop_count(query, key, value)) * 5 // 2


_ATEN: Final = torch.ops.aten
_ON_CPU: Final = {
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _forward_flops,
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _backward_flops,
}
"""What torch's counter does not know: the attention of processors."""
