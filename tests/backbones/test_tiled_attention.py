"""Attention head by head: PyTorch's own, to the rounding of bfloat16, forwards and backwards."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from dina_lrm.backbones.tiled_attention import TiledAttention


def drawn(tokens, keys, width=32, dtype=torch.bfloat16, heads_last=True):
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, count, 3, width) if heads_last else (2, 3, count, width) for count in (tokens, keys, keys)]
    tensors = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    return [(t.transpose(1, 2) if heads_last else t).detach().requires_grad_() for t in tensors]


def both(given, gradient):
    output = scaled_dot_product_attention(*given)
    return (output, *torch.autograd.grad(output, given, gradient.to(output.dtype)))


@pytest.mark.parametrize("heads_last", [True, False])
@pytest.mark.parametrize(("tokens", "keys"), [(256, 256), (300, 411)])
def test_it_is_as_near_to_float32_as_pytorchs(tokens, keys, heads_last):
    given = drawn(tokens, keys, heads_last=heads_last)
    gradient = torch.randn(given[0].shape, generator=torch.Generator().manual_seed(1))
    exact = both([tensor.detach().float().requires_grad_() for tensor in given], gradient)
    plain = both(given, gradient)
    with TiledAttention():
        tiled = both(given, gradient)
    assert not torch.equal(tiled[0], plain[0])  # it was ours that ran
    for ours, theirs, true in zip(tiled, plain, exact, strict=True):
        error, usual = ((one.float() - true).norm() / true.norm() for one in (ours, theirs))
        assert ours.dtype == theirs.dtype and error < max(3 * usual, 0.01)


@pytest.mark.parametrize("changes", [{"dtype": torch.float32}, {"tokens": 20}, {"keys": 20}])
def test_what_it_is_not_for_is_left_to_pytorch(changes):
    given = drawn(**{"tokens": 256, "keys": 256} | changes)
    with TiledAttention():
        assert torch.equal(scaled_dot_product_attention(*given), scaled_dot_product_attention(*given))
        found = scaled_dot_product_attention(*given)
    assert torch.equal(found, scaled_dot_product_attention(*given))


def test_a_mask_or_causal_order_is_left_to_pytorch():
    query, key, value = drawn(256, 256)
    mask = torch.ones(256, 256, dtype=torch.bool).tril()
    plain = scaled_dot_product_attention(query, key, value, mask)
    causal = scaled_dot_product_attention(query, key, value, is_causal=True)
    with TiledAttention():
        assert torch.equal(scaled_dot_product_attention(query, key, value, mask), plain)
        assert torch.equal(scaled_dot_product_attention(query, key, value, is_causal=True), causal)
