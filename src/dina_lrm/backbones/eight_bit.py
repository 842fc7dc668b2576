r"""Frozen linear layers multiplied in 8 bits: int8, or float8 (e4m3), both scaled by row when they are met (dynamic).

    q(X) = round(X / s) to 8 bits,   s = max|row| / largest number of the type
    Y = s_x s_w q(X) q(W)^T + b          every token and every output its own scale
    dX = s_g q(dY s_w) q(W)              the weights' scales go into the gradient: they are kept in 8 bits alone

The weights take half of bfloat16's memory. int8 is twice as fast as bfloat16 where the processor has its instructions
(VNNI) and on GPUs; float8 is multiplied by GPUs from Ada and Hopper on, and elsewhere emulated: the same rounding, none
of the speed. Weights that learn, a LoRA's among them, stay as they are, and a LoRA cannot be merged into these layers.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.typed import DinaError

EightBit = Literal["int8", "float8"]
_LARGEST: Final = {torch.int8: 127.0, torch.float8_e4m3fn: 448.0}
_TYPES: Final[dict[EightBit, torch.dtype]] = {"int8": torch.int8, "float8": torch.float8_e4m3fn}
_FACTORS: Final = ("lora_A", "lora_B")
_AT_ONCE: Final = 128
"""Rows that a processor multiplies together: measured at the sizes of SD3.5 Medium, between 64 and 512."""
_LEAST: Final = 32
"""Rows and columns below which a layer is left alone: there is nothing to gain."""


@final
class EightBitLinear(nn.Module):
    """Stands for a frozen `nn.Linear`; differentiable with respect to what goes in."""

    def __init__(self, layer: nn.Linear, kind: EightBit) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        weight, scale = _rounded(layer.weight.detach().float(), _TYPES[kind])
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("scale", scale.flatten(), persistent=False)
        self.bias = layer.bias
        self.emulated = not _multiplies(weight)

    def forward(self, x: Float[Tensor, "... in_features"]) -> Float[Tensor, "... out_features"]:
        """The product in 8 bits, in the type of what goes in, or that of autocast."""
        low = torch.is_autocast_enabled(x.device.type)
        given = x.to(torch.get_autocast_dtype(x.device.type)) if low else x
        found: Tensor = _Product.apply(given, self.weight, self.scale, self.emulated)
        return found if self.bias is None else found + self.bias.to(found.dtype)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, emulated: bool) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(weight, scale)
        ctx.emulated = emulated
        return _product(x.flatten(0, -2), weight.t(), scale, emulated).unflatten(0, x.shape[:-1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401
        weight, scale = ctx.saved_tensors
        scaled = _product(gradient.flatten(0, -2), weight, None, ctx.emulated, before=scale)
        return scaled.unflatten(0, gradient.shape[:-1]), None, None, None


def in_eight_bits(model: nn.Module, blocks: Sequence[str], kind: EightBit) -> int:
    """Put `EightBitLinear` in the place of the frozen linear layers of `blocks`, the LoRA's own aside; how many.

    ValueError where there is none: all weights learn, or the layers are too small.
    """
    changed = 0
    for name in blocks:
        block = model.get_submodule(name)
        for path, layer in list(block.named_modules()):
            place, _, own = path.rpartition(".")
            learns = type(layer) is nn.Linear and (layer.weight.requires_grad or place.endswith(_FACTORS))
            if type(layer) is not nn.Linear or learns or min(layer.weight.shape) < _LEAST:
                continue
            setattr(block.get_submodule(place), own, EightBitLinear(layer, kind))
            changed += 1
    if changed == 0:
        raise DinaError(f"linears: {kind!r} was asked for, and no frozen linear layer is large enough; accepted: full")
    return changed


def _product(rows: Tensor, right: Tensor, after: Tensor | None, emulated: bool, before: Tensor | None = None) -> Tensor:
    """`rows` times the matrix `right` of 8 bits, in the type of the rows; columns scaled `before` and `after` it.

    On a processor a few rows at a time, so that what stands between, in float32, stays in its caches.
    """
    if rows.device.type != "cpu" or torch.compiler.is_compiling():
        return _product_at_once(rows, right, after, emulated, before)
    found = rows.new_empty(len(rows), right.shape[1])
    for start in range(0, len(rows), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        found[some] = _product_at_once(rows[some], right, after, emulated, before)
    return found


def _product_at_once(
    rows: Tensor, right: Tensor, after: Tensor | None, emulated: bool, before: Tensor | None
) -> Tensor:
    low, own = _rounded(rows.float() if before is None else rows.float() * before, right.dtype)
    product = _multiplied(low, right, emulated).mul_(own)
    return (product if after is None else product.mul_(after)).to(rows.dtype)


def _rounded(rows: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The rows, of float32, in 8 bits, and the scale of each, (rows, 1) in float32."""
    largest = _LARGEST[dtype]
    scale = rows.abs().amax(dim=-1, keepdim=True).clamp(min=1e-12) / largest
    scaled = rows / scale
    return (scaled.round_() if dtype == torch.int8 else scaled.clamp(-largest, largest)).to(dtype), scale


def _multiplies(weight: Tensor) -> bool:
    """Whether the device multiplies this type."""
    if weight.dtype == torch.int8:
        return weight.device.type in ("cpu", "cuda") and weight.shape[0] % 8 == 0 and weight.shape[1] % 8 == 0
    return weight.device.type == "cuda" and torch.cuda.get_device_capability(weight.device) >= (8, 9)


def _multiplied(left: Tensor, right: Tensor, emulated: bool) -> Tensor:
    """The product of two matrices in 8 bits, in float32."""
    if emulated:
        return left.float() @ right.float()
    if left.dtype == torch.int8:
        return torch._int_mm(left, right).float()
    one = torch.ones((), device=left.device)
    columns = right.t().contiguous().t()  # the kernel takes the right matrix by columns
    found: Tensor = torch._scaled_mm(left, columns, scale_a=one, scale_b=one, out_dtype=torch.float32)
    return found
