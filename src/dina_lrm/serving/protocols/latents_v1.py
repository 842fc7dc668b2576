"""Clean latents in one safetensors blob, protocol "1": what verl-omni's client and released servers speak.

    latents (B, C, h, w)   prompt_embeds (B, N, D)   pooled_prompt_embeds (B, P)   u (B,)   seeds (B,), may be absent
    200  {"protocol_version": "1", "raw_scores": [...], "seeds": [...]}

`u` is one noise level an item, never an ensemble. Without `seeds` each item gets noise of its own, and the answer says
which.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import rows_of
from dina_lrm.serving.items import LatentItem, ModelScores, Request
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, bad_request
from dina_lrm.serving.tensors import FLOATS, expect, expect_embeds, expect_latents, read_blob

VERSION: Final = "1"
_TENSORS: Final = {
    "latents": FLOATS,
    "prompt_embeds": FLOATS,
    "pooled_prompt_embeds": FLOATS,
    "u": ("F32",),
    "seeds": ("I64",),
}


def read_request(body: bytes, limits: Limits, model: str) -> Request:
    """The items of a blob. Problem 400 or 413 for what is none."""
    tensors, _ = read_blob(body, limits, _TENSORS)
    latents = expect_latents(tensors, "latents", limits)
    count = len(latents)
    embeds = expect_embeds(tensors, (count, None, None), limits)
    pooled = expect(tensors, "pooled_prompt_embeds", (count, None))
    levels = read_levels(expect(tensors, "u", (count,)))
    seeds = expect(tensors, "seeds", (count,)).tolist() if "seeds" in tensors else fresh_seeds(count)
    rows = rows_of(Conditioning(embeds, pooled))
    items = zip(latents, rows, levels, seeds, strict=True)
    return Request(tuple(LatentItem(*item) for item in items), (model,), ("raw",), {"seeds": seeds})


def answer(request: Request, found: ModelScores) -> dict[str, Any]:
    """The body of a 200. Raises the first item's problem: protocol "1" has no place for it beside scores."""
    told: dict[str, Any] = {"protocol_version": VERSION, "raw_scores": found.raw(), "seeds": request.told["seeds"]}
    warned = warnings_of(found)
    return told | ({"warnings": warned} if warned else {})


def warnings_of(found: ModelScores) -> list[dict[str, Any]]:
    """What was noticed about items, as plain values."""
    return [
        {"item": item, "code": code, "message": message}
        for item, score in enumerate(found.scores)
        if not isinstance(score, Problem)
        for code, message in score.warnings
    ]


def read_levels(levels: Tensor) -> list[tuple[float, ...]]:
    """The levels of each item, from (B,) or (B, L). Problem 400 outside [0, 1]."""
    outside = ((levels < 0) | (levels > 1)).nonzero().tolist()
    if outside:
        place = "][".join(map(str, outside[0]))
        raise bad_request("bad_tensor", f"u[{place}] is {float(levels[tuple(outside[0])]):g}; accepted: [0, 1]")
    return [tuple(row) for row in levels.reshape(len(levels), -1).tolist()]


def fresh_seeds(count: int) -> list[int]:
    """Seeds that nobody can know, of numbers that JSON's readers all hold."""
    return [secrets.randbits(53) for _ in range(count)]
