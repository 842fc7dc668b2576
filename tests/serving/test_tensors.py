"""Blobs from strangers: read as written, and refused by name before anything is made of them."""

import json

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import save

from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem
from dina_lrm.serving.tensors import FLOATS, expect, read_blob

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


def test_a_missing_tensor_and_another_shape_say_what_is_accepted():
    tensors = {"latents": torch.zeros(2, 3)}
    assert expect(tensors, "latents", (2, None)) is tensors["latents"]
    for name, shape in (("seeds", (2,)), ("latents", (2,)), ("latents", (3, None))):
        with pytest.raises(Problem, match="accepted"):
            expect(tensors, name, shape)
    with pytest.raises(Problem):
        expect({"latents": torch.zeros(0, 3)}, "latents", (None, 3))
