"""Blobs of safetensors from strangers: the header is read and judged before any tensor is made.

A blob begins with eight bytes, the length of its header, then a JSON object: name -> {dtype, shape, data_offsets}.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeGuard

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, isfinite

from dina_lrm.runs.json_files import parse_json
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, bad_request

FLOATS: Final = ("F32", "F16", "BF16")
_BYTES: Final = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8, "BOOL": 1}
_LONGEST_SHAPE: Final = 4


def read_blob(body: bytes, limits: Limits, accepted: Mapping[str, Collection[str]]) -> tuple[dict[str, Tensor], str]:
    """The tensors of a blob by name, and the text `drm` of its metadata ("" without one).

    `accepted` has the dtypes of each tensor that may be there, by its name; a name that ends in "." stands for that
    name with a number behind it.

    Raises:
        Problem: 400, for a blob that is none, tensors nobody asked for, other dtypes, and values that are not finite.
    """
    header = _header(body, limits)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise bad_request("bad_blob", "__metadata__ is no object of texts")
    for name, entry in header.items():
        _check_entry(name, entry, accepted)
    try:
        tensors = load(body)
    except SafetensorError as error:
        raise bad_request("bad_blob", f"not a safetensors blob: {error!s:.200}") from error
    for name, tensor in tensors.items():
        _check_values(name, tensor)
    return tensors, metadata.get("drm", "")


def _header(body: bytes, limits: Limits) -> dict[str, Any]:
    if len(body) < 8:
        raise bad_request("bad_blob", f"{len(body)} bytes; accepted: a safetensors blob")
    length = int.from_bytes(body[:8], "little")
    if length > limits.header_bytes:
        raise Problem(413, "too_large", f"a header of {length} bytes; accepted: at most {limits.header_bytes}")
    if length > len(body) - 8:
        raise bad_request("bad_blob", f"a header of {length} bytes in a blob of {len(body)}")
    try:
        header = parse_json(body[8 : 8 + length], "the blob's header")
    except ValueError as error:
        raise bad_request("bad_blob", f"{error!s:.300}") from error
    if not isinstance(header, dict):
        raise bad_request("bad_blob", "the blob's header is no object")
    return header


def _check_entry(name: str, entry: object, accepted: Mapping[str, Collection[str]]) -> None:
    stem, dot, number = name.rpartition(".")
    key = f"{stem}." if dot and number.isascii() and number.isdigit() and str(int(number[:9])) == number else name
    if key not in accepted:
        known = ", ".join(f"{each}0, {each}1, .." if each.endswith(".") else each for each in accepted)
        raise bad_request("unknown_tensor", f"tensor {name[:80]!r}; accepted: {known}")
    if not isinstance(entry, dict):
        raise bad_request("bad_blob", f"the entry of {name} is no object")
    dtype, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(dtype, str) or dtype not in accepted[key]:
        raise bad_request("bad_tensor", f"{name} has dtype {str(dtype)[:20]}; accepted: {', '.join(accepted[key])}")
    if not _is_shape(shape):
        raise bad_request("bad_tensor", f"{name} has shape {str(shape)[:60]}; accepted: up to {_LONGEST_SHAPE} sides")
    offsets = entry.get("data_offsets")
    if not (_is_shape(offsets) and len(offsets) == 2):
        raise bad_request("bad_blob", f"{name} has no data_offsets")
    if offsets[1] - offsets[0] != math.prod(shape) * _BYTES[dtype]:
        raise bad_request("bad_blob", f"{name} of shape {shape} does not fill its {offsets[1] - offsets[0]} bytes")


def _check_values(name: str, tensor: Tensor) -> None:
    if tensor.dtype == torch.bool and bool((tensor.view(torch.uint8) > 1).any()):
        raise bad_request("bad_tensor", f"{name} holds bytes that are no truth values; accepted: 0 and 1")
    if tensor.is_floating_point() and not bool(isfinite(tensor).all()):
        rows = (
            (~isfinite(tensor).reshape(len(tensor), -1).all(1)).nonzero()[:10].flatten().tolist() if tensor.ndim else []
        )
        raise bad_request("bad_tensor", f"{name} holds NaN or infinity in items {rows}; accepted: finite values")


def _is_shape(shape: object) -> TypeGuard[list[int]]:
    """Whether it is a short list of numbers that bytes could be counted by."""
    short = isinstance(shape, list) and len(shape) <= _LONGEST_SHAPE
    return short and isinstance(shape, list) and all(type(side) is int and 0 <= side < 1 << 40 for side in shape)


def expect_rows(tensors: Mapping[str, Tensor], name: str, shape: tuple[int | None, ...], limits: Limits) -> Tensor:
    """As `expect`, and no more rows than a request may have items (413): what follows is made row by row."""
    found = expect(tensors, name, shape)
    if len(found) > limits.batch:
        raise Problem(413, "too_large", f"{name} has {len(found)} rows; accepted: at most {limits.batch}")
    return found


def expect_latents(tensors: Mapping[str, Tensor], name: str, limits: Limits) -> Tensor:
    """Latents (items, channels, height, width), at most as large and as many as a request may have (413)."""
    found = expect_rows(tensors, name, (None, None, None, None), limits)
    height, width = found.shape[2:]
    if height * width > limits.latent_positions:
        told = f"{name} has {height}x{width} positions; accepted: at most {limits.latent_positions}"
        raise Problem(413, "too_large", told)
    return found


def expect_embeds(tensors: Mapping[str, Tensor], shape: tuple[int | None, ...], limits: Limits) -> Tensor:
    """`prompt_embeds`, whose last axes are tokens and width, of at most as many tokens as a prompt may have (413)."""
    found = (
        expect(tensors, "prompt_embeds", shape)
        if len(shape) < 3
        else expect_rows(tensors, "prompt_embeds", shape, limits)
    )
    if found.shape[-2] > limits.prompt_tokens:
        told = f"prompt_embeds has {found.shape[-2]} tokens; accepted: at most {limits.prompt_tokens}"
        raise Problem(413, "too_large", told)
    return found


def expect(tensors: Mapping[str, Tensor], name: str, shape: tuple[int | None, ...]) -> Tensor:
    """The tensor of a name; 400 where it is missing or has another shape (None is any size of at least 1)."""
    wanted = "(" + ", ".join("*" if side is None else str(side) for side in shape) + ")"
    if name not in tensors:
        raise bad_request("missing_tensor", f"no tensor {name}; accepted: one of shape {wanted}")
    given = tuple(tensors[name].shape)
    fits = len(given) == len(shape) and all(
        have >= 1 if want is None else have == want for have, want in zip(given, shape, strict=True)
    )
    if not fits:
        raise bad_request("bad_tensor", f"{name} has shape {given}; accepted: {wanted}")
    return tensors[name]
