"""Pictures in JSON (base64) or multipart, and two pictures compared; the answer is that of protocol "2"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dina_lrm.serving.items import ModelScores, PictureItem, Request, ScoreKind
from dina_lrm.serving.limits import Limits
from dina_lrm.serving.pictures import Gallery, decoded
from dina_lrm.serving.problems import Problem, bad_request
from dina_lrm.serving.protocols.bodies import check_count, checked_prompt, read_body
from dina_lrm.serving.served import Served


class Picture(BaseModel):
    """A picture's bytes; addresses and paths are never opened."""

    model_config = ConfigDict(extra="allow", strict=True)

    b64: str | None = Field(default=None, description="The bytes of a PNG, JPEG or WebP file, as base64.")


class ImagesBody(BaseModel):
    """Pictures to score."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | list[str] | None = Field(default=None, description="A name, or several; else the first model.")
    prompts: list[str] = Field(description="One for all pictures, or one each.")
    images: list[Picture] = Field(default=[], description="In JSON; in multipart they are the parts image.")
    levels: list[float] | None = Field(default=None, description="Noise levels in [0, 1]; several are an ensemble.")
    seeds: list[int] | None = Field(default=None, description="One for all pictures, or one each; 0 by default.")
    score: list[ScoreKind] = Field(default=["raw"], min_length=1, description="raw, z or both.")


class CompareBody(ImagesBody):
    """Pairs of pictures to compare."""

    images_b: list[Picture] = Field(default=[], description="The second picture of each pair.")


def read_request(
    kind: type[ImagesBody], body: bytes, files: list[bytes] | None, limits: Limits, models: tuple[str, ...]
) -> Request:
    """The pictures of a body of this kind; `files` are those of multipart, which then has none in JSON."""
    asked = read_body(kind, body, limits)
    given = [*asked.images, *(asked.images_b if isinstance(asked, CompareBody) else [])]
    if files is not None and given:
        raise bad_request("bad_request", "images stand in the JSON and beside it; accepted: in one place")
    count = len(given) if files is None else len(files)
    check_count(count, limits)
    if isinstance(asked, CompareBody) and (count % 2 or (files is None and len(asked.images) != len(asked.images_b))):
        raise bad_request("bad_request", f"{count} pictures make no pairs; accepted: as many images_b as images")
    pairs = count // 2 if isinstance(asked, CompareBody) else count
    prompts = [checked_prompt(text, f"prompts[{row}]", limits) for row, text in enumerate(asked.prompts)]
    prompts = _one_each(prompts, pairs, "prompts")
    seeds = _one_each(asked.seeds or [0], pairs, "seeds")
    _check_seeds(seeds)
    levels = _levels(asked.levels or [], limits)
    again = range(count // pairs)
    rows = [(prompt, seed) for _ in again for prompt, seed in zip(prompts, seeds, strict=True)]
    sources: Sequence[Picture | bytes] = given if files is None else files
    gallery = Gallery(limits)
    data = [_counted(source, f"images[{number}]", gallery) for number, source in enumerate(sources)]
    items = [
        PictureItem(decoded(each, f"images[{number}]"), prompt, levels, seed)
        for number, (each, (prompt, seed)) in enumerate(zip(data, rows, strict=True))
    ]
    return Request(tuple(items), chosen_models(asked.model) or models, tuple(asked.score), {"seeds": seeds})


def compared(served: Served, request: Request, found: ModelScores) -> dict[str, Any]:
    """P(image preferred to image_b) of each pair, with the raw scores of both."""
    pairs, raw = len(found.scores) // 2, found.raw("picture {}")
    levels = request.items[0].levels
    likely = [served.probability(a - b, levels) for a, b in zip(raw[:pairs], raw[pairs:], strict=True)]
    return {"model": found.model, "p": likely, "raw": raw[:pairs], "raw_b": raw[pairs:]}


def chosen_models(asked: str | list[str] | None) -> tuple[str, ...]:
    """The names that a request gives; none mean the server's first model."""
    return () if asked is None else (asked,) if isinstance(asked, str) else tuple(dict.fromkeys(asked))


def _counted(picture: Picture | bytes, name: str, gallery: Gallery) -> bytes:
    if isinstance(picture, bytes):
        return gallery.counted(picture, name)
    extra = sorted(picture.model_extra or {})
    if extra:
        raise bad_request("reference_refused", f"{name}: {extra[0]}; accepted: b64, the bytes of the file")
    if picture.b64 is None:
        raise bad_request("bad_image", f"{name}: no b64; accepted: the bytes of the file as base64")
    return gallery.of_base64(picture.b64, name)


def _one_each(given: list[Any], count: int, name: str) -> list[Any]:
    if len(given) not in (1, count):
        raise bad_request("bad_request", f"{len(given)} {name} for {count} pictures; accepted: 1 or {count}")
    return given * count if len(given) == 1 else given


def _levels(levels: list[float], limits: Limits) -> tuple[float, ...]:
    bad = next((level for level in levels if not 0 <= level <= 1), None)
    if bad is not None:
        raise bad_request("bad_levels", f"levels: {bad!r:.40}; accepted: numbers in [0, 1]")
    if len(levels) > limits.levels:
        raise Problem(413, "too_large", f"{len(levels)} levels; accepted: at most {limits.levels}")
    return tuple(map(float, levels))


def _check_seeds(seeds: list[int]) -> None:
    bad = next((seed for seed in seeds if not -(1 << 63) <= seed < 1 << 64), None)
    if bad is not None:
        raise bad_request("bad_request", "seeds: a number beyond 64 bits; accepted: -2**63 to 2**64 - 1")
