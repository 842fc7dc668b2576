"""JSON bodies that are none, or hold other values than the routes read."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

from benchmarks.fuzzing.mutations import WORDS, damaged
from benchmarks.serving_fuzzing.good import PROMPTS, picture
from benchmarks.serving_fuzzing.requests import Case, post

CODED = base64.b64encode(picture()).decode()
_BODIES: dict[str, dict[str, Any]] = {
    "/v1/score/images": {
        "model": "dina",
        "prompts": PROMPTS,
        "images": [{"b64": CODED}, {"b64": CODED}],
        "levels": [0.4],
        "seeds": [0, 1],
        "score": ["raw"],
    },
    "/v1/compare": {"prompts": PROMPTS[:1], "images": [{"b64": CODED}], "images_b": [{"b64": CODED}], "seeds": [0]},
    "/compute": {"prompt": PROMPTS, "image": [CODED, CODED], "video": None, "condition_images": None},
    "/score": {
        "requests": [
            {"history": [{"text": PROMPTS[0], "image_b64": CODED}], "required_rewards": ["dina"], "metadata": None}
        ]
    },
}
ROUTES = tuple(_BODIES)
_ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    -0.1,
    1.01,
    1 << 63,
    1 << 64,
    -(1 << 63) - 1,
    10**400,
    1e308,
    "",
    "a",
    [],
    {},
    [[]],
    [None],
    [0.5] * 17,
    [2.0],
    [-0.0001],
    [10**400],
    ["raw", "raw"],
    ["z"],
    ["other"],
    ["a"] * 257,
    ["a"] * 100_000,
    [0] * 100_000,
    {"b64": 3},
    [{"b64": None}],
    [{"b64": ""}],
    [{}],
    {"a": {"b": {}}},
    "a" * 20_000,
    "\x00",
    "data:,",
    *WORDS[:12],
)


def values(_: object, rng: random.Random) -> Case:
    """A body of a route with one value, key or type changed."""
    path = rng.choice(ROUTES)
    body: dict[str, Any] = json.loads(json.dumps(_BODIES[path]))
    told = _changed(body, rng)
    return post(f"{path}: {told}", path, json.dumps(body).encode(), _json(), refused=False)


def _json() -> tuple[str, str]:
    return ("content-type", "application/json")


def _changed(body: dict[str, Any], rng: random.Random) -> str:
    place: Any = body
    told = ""
    while True:
        key: Any = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        told += f"[{key!r}]"
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.6:
            place = place[key]
            continue
        break
    action = rng.random()
    if action < 0.75:
        place[key] = rng.choice(_ODD)
        return f"{told} = {str(place[key])[:30]!r}"
    if action < 0.88:
        del place[key]
        return f"{told} left out"
    if isinstance(place, dict):
        place[rng.choice(("other", "__proto__", "", "url", "path", "video_path", "$ref"))] = rng.choice(_ODD)
    else:
        place.extend([place[key]] * rng.choice((1, 300)))
    return f"{told} and more"


def syntax(_: object, rng: random.Random) -> Case:
    """A body that is no JSON, or JSON of the kind that breaks readers."""
    path = rng.choice(ROUTES)
    good = json.dumps(_BODIES[path]).encode()
    changes: dict[str, Callable[[], bytes]] = {
        "NaN": lambda: b'{"prompts": ["a"], "levels": [NaN], "images": []}',
        "-Infinity": lambda: b'{"prompt": -Infinity}',
        "1e999": lambda: b'{"prompts": ["a"], "levels": [1e999], "images": []}',
        "deep": lambda: b"[" * rng.choice((70, 10_000, 1_000_000)),
        "deep objects": lambda: b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "a key twice": lambda: good[:-1] + b", " + good[1:],
        "half a character": lambda: good.replace(b"red", b"\\ud83d"),
        "5,000 digits": lambda: b'{"seeds": [' + b"7" * 5_000 + b"]}",
        "a million empty lists": lambda: b"[" + b"[]," * 1_000_000 + b"[]]",
        "a million wrong values": lambda: b'{"prompts": [' + b"1," * 1_000_000 + b"1]}",
        "300,000 keys": lambda: b"{" + b",".join(b'"k%d":1' % number for number in range(300_000)) + b"}",
        "300,000 objects": lambda: b'{"images": [' + b"{}," * 300_000 + b"{}]}",
        "a long text": lambda: b'{"prompts": ["' + b"a" * 8_000_000 + b'"]}',
        "comments": lambda: b"// a\n" + good,
        "a comma behind": lambda: good[:-1] + b",}",
        "single quotes": lambda: good.replace(b'"', b"'"),
        "UTF-16": lambda: good.decode().encode("utf-16"),
        "broken UTF-8": lambda: good.replace(b"red", b"\xff\xfe\xc0"),
        "nothing": lambda: b"",
        "another value": lambda: rng.choice((b"null", b"3", b'"a"', b"[]", b"true", b"{}")),
        "damaged": lambda: damaged(good, rng)[0],
    }
    told = rng.choice(list(changes))
    return post(f"{path} JSON: {told}", path, changes[told](), _json(), refused=told != "damaged")


def reference(_: object, rng: random.Random) -> Case:
    """A picture that is an address or a path, which is never opened."""
    where = rng.choice(
        (
            "http://127.0.0.1:9/a.png",
            "https://example.org/a.png",
            "file:///etc/passwd",
            "/etc/passwd",
            "../../etc/passwd",
            "data:text/html;base64,AAAA",
            "data:image/svg+xml;base64,PHN2Zy8+",
            "data:image/png,abc",
            "data:",
            "ftp://a/b",
            "gopher://a",
            "\\\\host\\share",
            "//a/b.png",
            "/dev/zero",
            "/dev/stdin",
            "hf://a/b",
            "s3://a/b",
            "data:image/png;base64,/etc/passwd",
        )
    )
    key = rng.choice(("url", "path", "b64", "image_url", "file", "$ref"))
    bodies: dict[str, dict[str, Any]] = {
        "/v1/score/images": {"prompts": ["a"], "images": [{key: where}]},
        "/v1/compare": {"prompts": ["a"], "images": [{"b64": CODED}], "images_b": [{key: where}]},
        "/compute": {"prompt": ["a"], "image": [where]},
        "/score": {"requests": [{"history": [_turn(where, rng)], "required_rewards": ["dina"]}]},
    }
    path = rng.choice(list(bodies))
    refused = path != "/score"  # there the reason stands in the place of the score
    return post(f"{path}: {key} {where}", path, json.dumps(bodies[path]).encode(), _json(), refused=refused)


def _turn(where: str, rng: random.Random) -> dict[str, Any]:
    key = rng.choice(("video_path", "image_path", "image_url", "image_b64"))
    return {"text": "a", "image_b64": CODED, **{key: where}}
