"""Safetensors that are none, or hold what no model reads: headers, tensors, the JSON of protocol 2, prompts by hash."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import save

from benchmarks.fuzzing.mutations import damaged
from benchmarks.serving_fuzzing.good import Known
from benchmarks.serving_fuzzing.requests import Case, post

_SIDES: tuple[object, ...] = (
    -1,
    0,
    1,
    3,
    7,
    1 << 31,
    1 << 40,
    1 << 63,
    1 << 64,
    10**30,
    10**4200,
    1.5,
    True,
    None,
    "8",
)
_DTYPES = ("F64", "F16", "BF16", "I64", "I8", "U8", "BOOL", "F8_E4M3", "f32", "", 3, None, ["F32"], "F32\x00", "C64")
_SECOND = ("x-drm-protocol-version", "2")


def raw_blob(header: bytes, data: bytes, length: int | None = None) -> bytes:
    """Bytes of a blob, with a header that may be anything."""
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def _parts(body: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(body[:8], "little")
    return json.loads(body[8 : 8 + length]), body[8 + length :]


def header(known: Known, rng: random.Random) -> Case:
    """A blob whose header is broken, huge, deep, or says what the bytes are not."""
    good = save(known.tensors)
    parts, data = _parts(good)
    text = json.dumps(parts).encode()
    changes: dict[str, Callable[[], bytes]] = {
        "a length of 2**64 - 1": lambda: b"\xff" * 8 + good[8:],
        "another length": lambda: raw_blob(text, data, rng.choice((0, 1, len(text) - 1, len(text) + 1, 1 << 20))),
        "a header of 2 MiB": lambda: raw_blob(text + b" " * (2 << 20), data),
        "a header that stands twice": lambda: raw_blob(text + text, data),
        "a key twice": lambda: raw_blob(text[:-1] + b', "u": ' + json.dumps(parts["u"]).encode() + b"}", data),
        "nested deep": lambda: raw_blob(b"[" * rng.choice((65, 5_000, 900_000)), data),
        "nested deep inside": lambda: raw_blob(b'{"u": ' + b"[" * 60_000 + b"]" * 60_000 + b"}", data),
        "no JSON": lambda: raw_blob(rng.randbytes(rng.choice((1, 80, 5_000))), data),
        "NaN": lambda: raw_blob(text.replace(b"[2]", b"[NaN]"), data),
        "1e999": lambda: raw_blob(text.replace(b"[2]", b"[1e999]"), data),
        "a number of 5,000 digits": lambda: raw_blob(text.replace(b"[2]", b"[" + b"9" * 5_000 + b"]"), data),
        "half a character": lambda: raw_blob(text.replace(b'"u"', b'"\\ud800"'), data),
        "a number for an object": lambda: raw_blob(b"7", data),
        "100,000 tensors": lambda: raw_blob(_many(60_000), data),
        "metadata of numbers": lambda: raw_blob(json.dumps(parts | {"__metadata__": {"drm": 3}}).encode(), data),
        "metadata of 900 KB": lambda: raw_blob(
            json.dumps(parts | {"__metadata__": {"drm": "x" * 900_000}}).encode(), data
        ),
        "an entry changed": lambda: raw_blob(json.dumps(_entry_changed(parts, rng)).encode(), data),
        "bytes left out": lambda: raw_blob(text, data[: rng.randrange(len(data))]),
        "bytes behind": lambda: raw_blob(text, data + rng.randbytes(rng.choice((1, 4, 1000)))),
        "damaged": lambda: _damaged(good, rng),
    }
    told = rng.choice(list(changes))
    fine = told in ("metadata of 900 KB", "damaged")
    return post(f"header: {told}", "/v1/score", changes[told](), refused=not fine)


def _damaged(body: bytes, rng: random.Random) -> bytes:
    return damaged(body, rng)[0]


def _many(count: int) -> bytes:
    return b"{" + b",".join(b'"latents.%d":7' % number for number in range(count)) + b"}"


def _entry_changed(parts: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    name = rng.choice([each for each in parts if each != "__metadata__"])
    entry = dict(parts[name])
    key = rng.choice(("dtype", "shape", "data_offsets", "data_offsets", "shape", "more", "less"))
    if key == "dtype":
        entry["dtype"] = rng.choice([each for each in _DTYPES if each != entry["dtype"]])
    elif key == "shape":
        entry["shape"] = [rng.choice(_SIDES) for _ in range(rng.choice((0, 1, 2, 4, 9, 300)))]
    elif key == "data_offsets":
        a, b = entry["data_offsets"]
        entry[key] = rng.choice(
            ([b, a], [a - 4, b - 4], [a + 4, b + 4], [-(10**4200), 10**4200], [a], [a, b, b], "ab", [0, 0], [1.0, 2.0])
        )
    else:
        entry = {"shape": entry["shape"]} if key == "less" else {**entry, "dtype": "F32", "shape": [[]]}
    return {**parts, name: entry}


_VALUES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "float64": lambda tensor: tensor.double(),
    "int64": lambda tensor: tensor.long(),
    "int8": lambda tensor: tensor.to(torch.int8),
    "bool": lambda tensor: tensor.bool(),
    "NaN": lambda tensor: torch.full_like(tensor.float(), math.nan),
    "infinity": lambda tensor: torch.full_like(tensor.float(), -math.inf),
    "one NaN in float16": lambda tensor: _spoilt(tensor.half(), math.nan),
    "an axis more": lambda tensor: tensor[None],
    "an axis less": lambda tensor: tensor[0],
    "items left out": lambda tensor: tensor[:1],
    "items more": lambda tensor: torch.cat([tensor, tensor]),
    "nothing": lambda tensor: tensor[:0],
    "flat": lambda tensor: tensor.flatten(),
    "transposed": lambda tensor: tensor.transpose(0, -1),
    "a scalar": lambda tensor: torch.tensor(1.0).to(tensor.dtype),
}


def _spoilt(tensor: torch.Tensor, value: float) -> torch.Tensor:
    spoilt = tensor.clone().reshape(-1)
    spoilt[-1] = value
    return spoilt.reshape(tensor.shape)


def tensor(known: Known, rng: random.Random) -> Case:
    """A blob with one tensor of other dtype, shape or values, one too many, or one that is missing."""
    given = dict(known.tensors)
    special: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
        "u above 1": lambda: {"u": torch.tensor([0.2, rng.choice((1.0000001, 1.5, 1e30))])},
        "u below 0": lambda: {"u": torch.tensor([-rng.choice((1e-9, 0.5, 1e30)), 0.2])},
        "u as an ensemble": lambda: {"u": torch.rand(2, 3)},
        "a tensor more": lambda: {
            rng.choice(("mask", "latents.x", "prompt_mask", "\u202e", "a" * 5000)): torch.ones(2)
        },
        "300 items": lambda: {"latents": torch.zeros(300, 16, 2, 2)},
        "a million items": lambda: {"latents": torch.zeros(1_000_000, 1, 1, 1)},
        "a million NaN": lambda: {"latents": torch.full((1_000_000, 1, 1, 1), math.nan)},
        "latents of 2,000 a side": lambda: {"latents": torch.zeros(2, 16, 2, 2000)},
        "latents of 500 by 500": lambda: {"latents": torch.zeros(2, 16, 500, 500, dtype=torch.bfloat16)},
        "60,000 text tokens": lambda: {
            "prompt_embeds": torch.zeros(2, 60_000, known.conditioning.prompt_embeds.shape[-1])
        },
        "other channels": lambda: {"latents": torch.randn(2, rng.choice((1, 4, 15, 17)), 8, 8)},
        "odd sides": lambda: {"latents": torch.randn(2, 16, rng.choice((1, 7, 9)), 8)},
        "unscaled": lambda: {"latents": 1000 * torch.randn(2, 16, 8, 8)},
        "the largest float": lambda: {"latents": torch.full((2, 16, 8, 8), 3e38)},
        "large conditioning": lambda: {"prompt_embeds": known.conditioning.prompt_embeds * 3e38},
        "another width": lambda: {"prompt_embeds": torch.randn(2, 16, 5)},
        "another pooled width": lambda: {"pooled_prompt_embeds": torch.randn(2, 5)},
    }
    if rng.random() < 0.5:
        told = rng.choice(list(special))
        given |= special[told]()
        fine = told in ("large conditioning", "latents of 2,000 a side")
    else:
        name = rng.choice(list(given))
        action = rng.choice([*_VALUES, "missing"])
        told, fine = f"{name}: {action}", _same(name, action)
        given = {each: value for each, value in given.items() if each != name}
        if action != "missing":
            given[name] = _VALUES[action](known.tensors[name])
    content = save({name: value.contiguous() for name, value in given.items()})
    return post(f"tensor: {told}", "/v1/score", content, refused=not fine)


def _same(name: str, action: str) -> bool:
    harmless = {"seeds": ("int64", "flat", "transposed", "missing"), "u": ("flat", "transposed")}
    return action in harmless.get(name, ())


_DRM: tuple[tuple[str, object], ...] = (
    ("model", "other"),
    ("model", []),
    ("model", ["dina", "other"]),
    ("model", 3),
    ("model", ["dina"] * 1000),
    ("model", [f"m{n}" for n in range(20_000)]),
    ("model", ""),
    ("score", []),
    ("score", ["raw", "y"]),
    ("score", "raw"),
    ("state", "dirty"),
    ("state", "noisy"),
    ("noise", "group"),
    ("noise", None),
    ("prompts", ["sha256:" + "0" * 64]),
    ("prompts", ["x"]),
    ("prompts", [f"sha256:{n:064x}" for n in range(10_000)]),
    ("prompts", [3]),
    ("prompts", []),
    ("texts", []),
    ("texts", [""]),
    ("texts", ["a\x00b"]),
    ("texts", ["a"] * 100_000),
    ("texts", ["a" * 800_000]),
    ("texts", [None]),
    ("texts", "a"),
    ("texts", ["a", "b", "c"]),
    ("order", [[0, 0]]),
    ("order", [[0]]),
    ("order", [[1 << 70, 0], [0, 1]]),
    ("order", [[]] * 100_000),
    ("order", "all"),
    ("other", 1),
    ("z", float("nan")),
    ("texts", ["\ud800"]),
)


def second(known: Known, rng: random.Random) -> Case:
    """Protocol 2 with a header `drm` that asks for what is not there, or with tensors that do not go with it."""
    x = known.tensors["latents"]
    given: dict[str, torch.Tensor] = {"latents": x}
    drm: dict[str, Any] = {"texts": ["a large red ring on white"]}
    key, value = rng.choice(_DRM)
    drm[key] = value
    told = f"drm {key} {str(value)[:30]}"
    extra: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
        "": dict,
        "rows outside": lambda: {"prompt": torch.tensor([0, rng.choice((-1, 9, 1 << 60))])},
        "17 levels": lambda: {"u": torch.rand(2, 17)},
        "levels beyond": lambda: {"u": torch.full((2, 3), 1.1)},
        "a mask of 7": lambda: {"prompt_mask": torch.ones(2, 3, dtype=torch.bool)},
        "prompts by two ways": lambda: {"prompt_embeds": known.conditioning.prompt_embeds},
        "latents twice": lambda: {"latents.0": x.clone()},
        "a group": lambda: {"group": torch.tensor([0, 1])},
        "a million prompts": lambda: {"prompt_embeds": torch.zeros(1_000_000, 1, 1)},
    }
    more = rng.choice(list(extra)) if rng.random() < 0.4 else ""
    given |= extra[more]()
    text = (
        json.dumps(drm)
        if rng.random() < 0.9
        else rng.choice(("", "{", "[]", "null", "{}", '{"texts": ["\\ud800"]}', "\x00"))
    )
    content = save(given, {"drm": text})
    return post(f"protocol 2: {told}, {more}", "/v1/score", content, _SECOND, refused=False)


def version(known: Known, rng: random.Random) -> Case:
    """A protocol that is none."""
    value = rng.choice(("0", "3", "1.0", " 1 ", "one", "", "1, 2", "\xff", "1" * 5000, "2\t", "-1", "NaN"))
    return post(
        f"version {value[:20]!r}", "/v1/score", save(known.tensors), ("x-drm-protocol-version", value), refused=False
    )


def prompt(known: Known, rng: random.Random) -> Case:
    """A prompt to keep whose hash is none, or is not its own."""
    row = {"prompt_embeds": known.conditioning.prompt_embeds[0] + rng.random()}
    body = save(row) if rng.random() < 0.6 else rng.choice((b"", b"{}", rng.randbytes(200), save({"a": torch.ones(1)})))
    name = rng.choice(
        (
            "sha256:" + "0" * 64,
            "sha256:" + "g" * 64,
            "sha256:",
            "md5:" + "0" * 32,
            "%00",
            "..%2f..%2fetc%2fpasswd",
            "a" * 3000,
            "SHA256:" + "0" * 64,
            "%ff%fe",
            "sha256:" + "0" * 63 + "%0a",
        )
    )
    method = rng.choice(("PUT", "PUT", "PUT", "HEAD", "GET", "DELETE", "POST", "PATCH"))
    return post(f"prompt {name[:20]} by {method}", f"/v1/prompts/{name}", body, method=method)
