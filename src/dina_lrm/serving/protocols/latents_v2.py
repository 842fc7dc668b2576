"""Latents of any family in one safetensors blob, protocol "2": prompts by hash, ensembles, groups, noisy states.

The blob's metadata has one key `drm`, a JSON text; tensors carry numbers only. See docs/serving.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import prompt_blob, rows_of
from dina_lrm.serving.items import LatentItem, ModelScores, Request, ScoreKind, State
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.problems import Problem, bad_request
from dina_lrm.serving.protocols.bodies import check_count, checked_prompt, read_object
from dina_lrm.serving.protocols.latents_v1 import fresh_seeds, read_levels, warnings_of
from dina_lrm.serving.served import Served
from dina_lrm.serving.tensors import FLOATS, expect, expect_embeds, expect_latents, read_blob

Noticed = tuple[tuple[str, str], ...]
VERSION: Final = "2"
_TENSORS: Final = {
    "latents": FLOATS,
    "latents.": FLOATS,
    "prompt": ("I64",),
    "prompt_embeds": FLOATS,
    "pooled_prompt_embeds": FLOATS,
    "prompt_mask": ("BOOL",),
    "u": ("F32",),
    "seeds": ("I64",),
    "group": ("I64",),
}
PROMPT_TENSORS: Final = {"prompt_embeds": FLOATS, "pooled_prompt_embeds": FLOATS, "prompt_mask": ("BOOL",)}


class Header(BaseModel):
    """The JSON text `drm`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | list[str] | None = None
    score: list[ScoreKind] = Field(default=["raw"], min_length=1)
    state: State = "clean"
    noise: Literal["item", "group"] = "item"
    own: bool = False
    prompts: list[str] | None = None
    texts: list[str] | None = None
    order: list[list[int]] | None = None


@dataclass(frozen=True, eq=False)
class Asked:
    """A request of which the prompts are still to be found: by hash, by text, or sent with it."""

    header: Header
    latents: list[Tensor]
    prompt: list[int]
    levels: list[tuple[float, ...]]
    seeds: list[int]
    inline: list[Conditioning] | None

    @property
    def told(self) -> dict[str, Any]:
        """Facts for the answer."""
        return {"seeds": self.seeds}

    def request(
        self, rows: Sequence[Conditioning], models: tuple[str, ...], noticed: Sequence[Noticed] = ()
    ) -> Request:
        """The items, with the conditioning of each of the prompts, and what was `noticed` of each prompt."""
        header, of_prompt = self.header, noticed or [()] * len(rows)
        items, sharers = zip(self.latents, self.prompt, self.levels, self.seeds, strict=True), Counter(self.prompt)
        told = tuple(
            LatentItem(latents, rows[row], levels, seed, header.state, of_prompt[row], sharers[row], header.own)
            for latents, row, levels, seed in items
        )
        return Request(told, models, tuple(self.header.score), self.told)


def read_request(body: bytes, limits: Limits) -> Asked:
    """What a blob asks for. Problem 400 or 413 for what is none."""
    tensors, text = read_blob(body, limits, _TENSORS)
    header = _read_header(text, limits)
    latents = _read_latents(tensors, header, limits)
    count = len(latents)
    inline = _inline(tensors, limits)
    given = {"prompts": header.prompts, "texts": header.texts, "prompt_embeds": inline}
    sources = [name for name, rows in given.items() if rows]
    if len(sources) != 1:
        told = " and ".join(sources) or "nothing"
        raise bad_request("bad_prompts", f"prompts come by {told}; accepted: by prompts, by texts, or by prompt_embeds")
    rows = _read_rows(tensors, count, len(given[sources[0]] or ()))
    return Asked(
        header, latents, rows, _read_levels(tensors, count, limits), _read_seeds(tensors, header, count), inline
    )


def answer(
    found: list[tuple[Served, ModelScores]], kinds: tuple[ScoreKind, ...], told: dict[str, Any]
) -> dict[str, Any]:
    """The body of a 200: each model's scores, or its error in their place."""
    warned = [{**warning, "model": scores.model} for _, scores in found for warning in warnings_of(scores)]
    results = {scores.model: _result(served, scores, kinds) for served, scores in found}
    times = {
        "queue": round(max(scores.queue_ms for _, scores in found), 3),
        "compute": round(sum(scores.compute_ms for _, scores in found), 3),
    }
    return {"protocol_version": VERSION, "results": results, **told, "warnings": warned, "ms": times}


def _result(served: Served, found: ModelScores, kinds: tuple[ScoreKind, ...]) -> dict[str, Any]:
    problems = {row: score for row, score in enumerate(found.scores) if isinstance(score, Problem)}
    bad = {str(row): problem.told() for row, problem in problems.items()}
    if len(bad) == len(found.scores):
        return {"error": problems[0].told(), "status": problems[0].status}
    raw = [None if isinstance(score, Problem) else score.raw for score in found.scores]
    scores: dict[str, Any] = {}
    try:
        for kind in kinds:
            scores[kind] = raw if kind == "raw" else [None if value is None else served.z(value) for value in raw]
    except Problem as problem:
        return {"error": problem.told(), "status": problem.status}
    return {"revision": served.revision, "scores": scores} | _by_name(found) | ({"errors": bad} if bad else {})


def _by_name(found: ModelScores) -> dict[str, Any]:
    """Every score of a model that has several: {"named": {NAME: {"raw": [..], "z": [..]}}}, null as in `scores`."""
    rows = [() if isinstance(score, Problem) else score.named for score in found.scores]
    names = next(([name for name, *_ in row] for row in rows if row), [])
    columns = {name: [(None, None) if not row else row[place][1:] for row in rows] for place, name in enumerate(names)}
    told = {name: {"raw": [raw for raw, _ in column], "z": [z for _, z in column]} for name, column in columns.items()}
    return {"named": told} if told else {}


def read_prompt(body: bytes, limits: Limits) -> Conditioning:
    """One prompt, sent to be kept: `prompt_embeds` (N, D), `pooled_prompt_embeds` (P,), `prompt_mask` (N,)."""
    tensors, _ = read_blob(body, limits, PROMPT_TENSORS)
    embeds = expect_embeds(tensors, (None, None), limits)
    pooled = expect(tensors, "pooled_prompt_embeds", (None,)) if "pooled_prompt_embeds" in tensors else None
    mask = expect(tensors, "prompt_mask", (len(embeds),)) if "prompt_mask" in tensors else None
    return Conditioning(embeds[None], None if pooled is None else pooled[None], None if mask is None else mask[None])


def _read_header(text: str, limits: Limits) -> Header:
    if not text:
        return Header()
    header = read_object(Header, text.encode("utf-8", "surrogatepass"), limits, "drm", "bad_header")
    if header.texts:
        check_count(len(header.texts), limits)
        for row, words in enumerate(header.texts):
            checked_prompt(words, f"drm.texts[{row}]", limits)
    return header


def _read_latents(tensors: dict[str, Tensor], header: Header, limits: Limits) -> list[Tensor]:
    """One latent an item, in order; those of several shapes come in several tensors."""
    parts = {int(name.partition(".")[2]): value for name, value in tensors.items() if name.startswith("latents.")}
    if ("latents" in tensors) == bool(parts):
        raise bad_request("missing_tensor", "accepted: one tensor latents, or latents.0, latents.1, .. with order")
    if "latents" in tensors:
        return [*expect_latents(tensors, "latents", limits)]
    count = sum(len(value) for value in parts.values() if value.ndim)
    if count > limits.batch:
        raise Problem(413, "too_large", f"{count} items; accepted: at most {limits.batch}")
    return _ordered(parts, tensors, header.order or [], limits)


def _ordered(
    parts: dict[int, Tensor], tensors: dict[str, Tensor], order: list[list[int]], limits: Limits
) -> list[Tensor]:
    for number in parts:
        expect_latents(tensors, f"latents.{number}", limits)
    places = [(part, row) for part in sorted(parts) for row in range(len(parts[part]))]
    given = [tuple(place) for place in order]
    if sorted(given) != places:
        raise bad_request("bad_header", f"drm.order: {given[:8]}; accepted: each of {places[:8]} once")
    return [parts[part][row] for part, row in given]


def _inline(tensors: dict[str, Tensor], limits: Limits) -> list[Conditioning] | None:
    if "prompt_embeds" not in tensors:
        left = [name for name in ("pooled_prompt_embeds", "prompt_mask") if name in tensors]
        if left:
            raise bad_request("missing_tensor", f"{left[0]} without prompt_embeds")
        return None
    embeds = expect_embeds(tensors, (None, None, None), limits)
    pooled = expect(tensors, "pooled_prompt_embeds", (len(embeds), None)) if "pooled_prompt_embeds" in tensors else None
    mask = expect(tensors, "prompt_mask", (len(embeds), embeds.shape[1])) if "prompt_mask" in tensors else None
    return rows_of(Conditioning(embeds, pooled, mask))


def _read_levels(tensors: dict[str, Tensor], count: int, limits: Limits) -> list[tuple[float, ...]]:
    """The levels of each item; none where the model's own is meant."""
    if "u" not in tensors:
        return [()] * count
    shape = tuple(tensors["u"].shape)
    if len(shape) not in (1, 2) or shape[0] != count or 0 in shape:
        raise bad_request("bad_tensor", f"u has shape {shape}; accepted: ({count},) or ({count}, L)")
    if len(shape) == 2 and shape[1] > limits.levels:
        raise Problem(413, "too_large", f"{shape[1]} levels; accepted: at most {limits.levels}")
    return read_levels(tensors["u"])


def _read_rows(tensors: dict[str, Tensor], count: int, rows: int) -> list[int]:
    if "prompt" not in tensors:
        if rows not in (1, count):
            raise bad_request("missing_tensor", f"{rows} prompts for {count} items and no tensor prompt")
        return [0] * count if rows == 1 else [*range(count)]
    found: list[int] = expect(tensors, "prompt", (count,)).tolist()
    outside = next((row for row in found if not 0 <= row < rows), None)
    if outside is not None:
        raise bad_request("bad_tensor", f"prompt names row {outside}; accepted: 0 to {rows - 1}")
    return found


def _read_seeds(tensors: dict[str, Tensor], header: Header, count: int) -> list[int]:
    given: list[int] | None = expect(tensors, "seeds", (count,)).tolist() if "seeds" in tensors else None
    if header.noise == "item":
        return fresh_seeds(count) if given is None else given
    groups = expect(tensors, "group", (count,)).tolist()
    seeds: dict[int, int] = {}
    for group, seed in zip(groups, given or fresh_seeds(count), strict=True):
        if seeds.setdefault(group, seed) != seed and given is not None:
            raise bad_request("bad_tensor", f"group {group} has seeds {seeds[group]} and {seed}; accepted: one")
    return [seeds[group] for group in groups]


def prompt_body(conditioning: Conditioning) -> bytes:
    """One prompt as the body that `read_prompt` reads."""
    return save(prompt_blob(conditioning))
