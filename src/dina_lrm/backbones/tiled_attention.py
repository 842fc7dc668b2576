r"""Attention of processors in bfloat16, head by head, so that what a head needs stays in the cache.

    S = scale Q K^T,   P = softmax(S),   O = P V
    dV = P^T dO,   dP = dO V^T,   dS = P (dP - rowsum(P dP)),   dQ = scale dS K,   dK = scale dS^T Q

The backward pass computes S and P again.

PyTorch's own kernel for processors multiplies small tiles, which without matrix units (AMX) reaches a quarter of what a
product of whole matrices does. Here a head is one product. Scores are rounded to bfloat16 before the softmax, where the
kernel keeps float32: about the rounding that the queries and keys had before.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_LEAST: Final = 256
"""Queries and keys from which on a head is worth a product of its own."""


class TiledAttention(TorchFunctionMode):
    """Inside, `scaled_dot_product_attention` of long bfloat16 sequences on processors is `tiled_attention`.

    Whatever has a mask, dropout, a causal order, another type or device is left to PyTorch.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        """Call the function, or ours in its place."""
        if func is torch.nn.functional.scaled_dot_product_attention:
            arguments = _arguments(*args, **(kwargs or {}))
            if arguments is not None:
                return tiled_attention(*arguments)
        return func(*args, **(kwargs or {}))


def tiled_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Softmax attention of (batch, heads, tokens, width), differentiable."""
    found: Tensor = _Tiled.apply(query, key, value, scale)
    return found


def _arguments(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor, Tensor, float] | None:
    """What `tiled_attention` takes, where it can stand for this call."""
    plain = attn_mask is None and dropout_p == 0 and not is_causal and not enable_gqa
    known = query.device.type == "cpu" and query.dtype == key.dtype == value.dtype == torch.bfloat16
    if not (plain and known and query.ndim == 4 and min(query.shape[-2], key.shape[-2]) >= _LEAST):
        return None
    return query, key, value, query.shape[-1] ** -0.5 if scale is None else scale


class _Tiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(query, key, value)
        ctx.scale = scale
        output = _like(query)
        weights = query.new_empty(query.shape[-2], key.shape[-2])
        for q, k, v, o in zip(*map(_heads, (query, key, value, output)), strict=True):
            torch.mm(_weights(q, k, scale, weights), v, out=o)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401
        query, key, value = ctx.saved_tensors
        grads = [_like(tensor) for tensor in (query, key, value)]
        weights = query.new_empty(query.shape[-2], key.shape[-2])
        inner = torch.empty_like(weights)
        for q, k, v, g, dq, dk, dv in zip(*map(_heads, (query, key, value, gradient, *grads)), strict=True):
            _weights(q, k, ctx.scale, weights)
            torch.mm(weights.t(), g, out=dv)
            torch.mm(g, v.t(), out=inner)
            torch.ops.aten._softmax_backward_data.out(inner, weights, -1, inner.dtype, grad_input=inner)
            torch.mm(inner, k, out=dq)
            torch.mm(inner.t(), q, out=dk)
        grads[0].mul_(ctx.scale)
        grads[1].mul_(ctx.scale)
        return grads[0], grads[1], grads[2], None


def _weights(q: Tensor, k: Tensor, scale: float, out: Tensor) -> Tensor:
    torch.addmm(out, q, k.t(), beta=0, alpha=scale, out=out)
    return torch.softmax(out, dim=-1, out=out)


def _like(tensor: Tensor) -> Tensor:
    """Empty, of the same shape, with all heads of a token side by side: what comes next lays them so."""
    batch, heads, tokens, width = tensor.shape
    return tensor.new_empty(batch, tokens, heads, width).transpose(1, 2)


def _heads(tensor: Tensor) -> list[Tensor]:
    return list(tensor.flatten(0, 1).unbind()) if tensor.is_contiguous() else [h for b in tensor.unbind() for h in b]
