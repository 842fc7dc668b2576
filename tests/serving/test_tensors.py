"""Blobs from strangers: read as written, and refused by name before anything is made of them."""

import json

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import save

from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.tensors import FLOATS, expect, expect_embeds, expect_latents, read_blob

ACCEPTED = {"latents": FLOATS, "latents.": FLOATS, "seeds": ("I64",), "prompt_mask": ("BOOL",)}
LIMITS = Limits(header_bytes=1 << 16)


def refused(body, accepted=ACCEPTED):
    with pytest.raises(Problem) as found:
        read_blob(body, LIMITS, accepted)
    assert found.value.status in (400, 413)
    return found.value


def blob(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_was_saved_is_read(dtype):
    given = {"latents": torch.randn(2, 3).to(dtype), "latents.12": torch.zeros(1), "seeds": torch.tensor([1 << 60])}
    found, text = read_blob(save(given, {"drm": "a text"}), LIMITS, ACCEPTED)
    assert text == "a text"
    assert found.keys() == given.keys()
    for name, tensor in given.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_blob"),
        (b"\xff" * 8, "too_large"),
        ((100).to_bytes(8, "little") + b"{}", "bad_blob"),
        (blob([]), "bad_blob"),
        (blob(b"[" * 5000), "bad_blob"),
        (blob(b'{"latents": NaN}'), "bad_blob"),
        (blob({"__metadata__": {"drm": 1}}), "bad_blob"),
        (blob({"other": ENTRY}, b"0000"), "unknown_tensor"),
        (blob({"latents.01": ENTRY}, b"0000"), "unknown_tensor"),
        (blob({"latents.-1": ENTRY}, b"0000"), "unknown_tensor"),
        (blob({"latents": 3}), "bad_blob"),
        (blob({"latents": {**ENTRY, "dtype": "F64"}}), "bad_tensor"),
        (blob({"latents": {**ENTRY, "dtype": ["F32"]}}), "bad_tensor"),
        (blob({"latents": {**ENTRY, "shape": [-1]}}), "bad_tensor"),
        (blob({"latents": {**ENTRY, "shape": [1.0]}}), "bad_tensor"),
        (blob({"latents": {**ENTRY, "shape": [True]}}), "bad_tensor"),
        (blob({"latents": {**ENTRY, "shape": [1] * 9}}), "bad_tensor"),
        (blob({"latents": {**ENTRY, "shape": [1 << 39, 1 << 39]}}), "bad_blob"),
        (blob({"latents": {**ENTRY, "data_offsets": [0, 8]}}, b"00000000"), "bad_blob"),
        (blob({"latents": {**ENTRY, "data_offsets": [4, 8]}}, b"00000000"), "bad_blob"),
        (blob({"latents": ENTRY}), "bad_blob"),
        (blob({"latents": ENTRY}, b"\0\0\xc0\x7f"), "bad_tensor"),
        (blob({"latents": ENTRY}, b"\0\0\x80\x7f"), "bad_tensor"),
        (blob({"latents": {**ENTRY, "data_offsets": [-(10**4290), 10**4290]}}, b"0000"), "bad_blob"),
        (blob({"latents": {**ENTRY, "data_offsets": [True, 5]}}, b"0000"), "bad_blob"),
        (blob({"prompt_mask": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\1\2"), "bad_tensor"),
    ],
)
def test_what_is_no_blob_is_refused(body, code):
    assert refused(body).code == code


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 255))
@example(b"", 0, 0)
def test_broken_bytes_never_fail_otherwise(tail, place, value):
    body = bytearray(save({"latents": torch.ones(2, 3), "seeds": torch.tensor([1])}) + tail)
    body[min(place, len(body) - 1)] = value
    try:
        found, _ = read_blob(bytes(body), LIMITS, ACCEPTED)
    except Problem as problem:
        assert problem.status in (400, 413)
    else:
        assert all(bool(torch.isfinite(tensor.float()).all()) for tensor in found.values())


def test_values_that_are_none_are_told_by_item():
    broken = torch.zeros(40, 2, 2)
    broken[7, 1, 0], broken[12:] = float("nan"), float("inf")
    assert f"in items {[7, *range(12, 21)]}" in refused(save({"latents": broken})).message


def test_rows_positions_and_tokens_are_counted_before_anything_is_made_of_them():
    small = Limits(batch=2, latent_positions=16, prompt_tokens=3)
    tensors = {"latents": torch.zeros(2, 1, 4, 4), "prompt_embeds": torch.zeros(2, 3, 5)}
    assert expect_latents(tensors, "latents", small) is tensors["latents"]
    assert expect_embeds(tensors, (2, None, None), small) is tensors["prompt_embeds"]
    for latents in (torch.zeros(3, 1, 4, 4), torch.zeros(2, 1, 1, 17)):
        with pytest.raises(Problem) as found:
            expect_latents({"latents": latents}, "latents", small)
        assert (found.value.status, found.value.code) == (413, "too_large")
    for embeds in (torch.zeros(2, 4, 5), torch.zeros(4, 5)):
        with pytest.raises(Problem) as found:
            expect_embeds({"prompt_embeds": embeds}, (None,) * embeds.ndim, small)
        assert found.value.status == 413


def test_a_missing_tensor_and_another_shape_say_what_is_accepted():
    tensors = {"latents": torch.zeros(2, 3)}
    assert expect(tensors, "latents", (2, None)) is tensors["latents"]
    for name, shape in (("seeds", (2,)), ("latents", (2,)), ("latents", (3, None))):
        with pytest.raises(Problem, match="accepted"):
            expect(tensors, name, shape)
    with pytest.raises(Problem):
        expect({"latents": torch.zeros(0, 3)}, "latents", (None, 3))
