"""Examples in the documents of the routes that the server at hand answers as they stand.

Bodies that are no JSON stand in base64: what is sent is their bytes.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
from collections.abc import Mapping
from typing import Any, Final

import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import prompt_blob, prompt_hash
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.serving.engine import Engine
from dina_lrm.serving.latent import LatentServed

VERSION_HEADER: Final = "x-drm-protocol-version"
_PROMPT: Final = "a large red ring on white"
_BASE64: Final = "The bytes of a body stand in base64 here."
_JSON: Final = "application/json"
_BYTES: Final = "application/octet-stream"


def with_examples(document: dict[str, Any], engine: Engine) -> dict[str, Any]:
    """An OpenAPI document with an example of each body, for the first model of the server."""
    served = engine.models[engine.default]
    latent = served if isinstance(served, LatentServed) else None
    if latent is not None:
        _add_latents(document["paths"], latent)
    if latent is None or latent.text_encoders:
        _add_pictures(document["paths"], engine.default, compares=latent is not None)
    return document


def _add_latents(paths: dict[str, Any], served: LatentServed) -> None:
    latents, told = _latents(served), _conditioning(served)
    levels, seeds = torch.tensor([0.4]), torch.tensor([0])
    tensors = {"latents": latents, "u": levels, "seeds": seeds}
    second = save(tensors | _inline(told), {"drm": json.dumps({"model": served.name, "score": ["raw"]})})
    examples = {"protocol 2": _base64(second, "One latent, its prompt beside it")}
    if told.pooled_prompt_embeds is not None:
        unmasked = Conditioning(told.prompt_embeds, told.pooled_prompt_embeds)
        first = save(tensors | _inline(unmasked))
        examples = {"protocol 1": _base64(first, "One latent, as trainers send it"), **examples}
    _set(paths, "/v1/score", "post", _BYTES, examples)
    paths["/v1/score"]["post"].setdefault("parameters", []).append(
        {
            "name": VERSION_HEADER,
            "in": "header",
            "schema": {"type": "string", "enum": ["1", "2"], "default": "1"},
            "description": "The protocol of the body; the example of a protocol goes with its number.",
        }
    )
    _set(paths, "/v1/prompts/{name}", "put", _BYTES, {"one prompt": _base64(save(prompt_blob(told)), "A prompt")})
    for method in ("put", "head"):
        paths["/v1/prompts/{name}"][method]["parameters"][0]["example"] = prompt_hash(told)


def _add_pictures(paths: dict[str, Any], model: str, compares: bool) -> None:
    png, other = _picture("PNG", (200, 30, 30)), _picture("PNG", (30, 30, 200))
    coded = base64.b64encode(png).decode()
    images = {"model": model, "prompts": [_PROMPT], "images": [{"b64": coded}]}
    _set(paths, "/v1/score/images", "post", _JSON, {"one picture": {"value": images}})
    if compares:
        second = {"b64": base64.b64encode(other).decode()}
        _set(paths, "/v1/compare", "post", _JSON, {"two pictures": {"value": {**images, "images_b": [second]}}})
    compute = {"prompt": [_PROMPT], "image": [coded]}
    _set(paths, "/compute", "post", _JSON, {"one picture": {"value": compute}})
    entry = {"history": [{"text": _PROMPT, "image_b64": coded}], "required_rewards": [model], "metadata": None}
    _set(paths, "/score", "post", _JSON, {"one picture": {"value": {"requests": [entry]}}})
    body = pickle.dumps({"images": [_picture("JPEG", (200, 30, 30))], "prompts": [_PROMPT]}, protocol=4)
    if "/v1/pickle/{name}" in paths:
        _set(paths, "/v1/pickle/{name}", "post", _BYTES, {"one picture": _base64(body, "A pickle")})
        paths["/v1/pickle/{name}"]["post"]["parameters"][0]["example"] = model


def _set(paths: dict[str, Any], path: str, method: str, kind: str, examples: Mapping[str, Any]) -> None:
    paths[path][method]["requestBody"]["content"][kind]["examples"] = dict(examples)


def _base64(body: bytes, summary: str) -> dict[str, Any]:
    return {"summary": summary, "description": _BASE64, "value": base64.b64encode(body).decode()}


def _latents(served: LatentServed) -> Tensor:
    backbone = served.model.backbone
    side = 4 * backbone.latent_multiple
    return 0.5 * seeded_noise(torch.Size((backbone.latent_channels, side, side)), 0)[None].half()


def _conditioning(served: LatentServed) -> Conditioning:
    """A prompt of a few tokens, so that the example stays short."""
    shape = served.model.backbone.prompt_shape
    pooled = torch.zeros(1, shape.pooled).half() if shape.pooled else None
    return Conditioning(torch.zeros(1, 2, shape.width).half(), pooled, torch.ones(1, 2, dtype=torch.bool))


def _inline(told: Conditioning) -> dict[str, Tensor]:
    given = {
        "prompt_embeds": told.prompt_embeds,
        "pooled_prompt_embeds": told.pooled_prompt_embeds,
        "prompt_mask": told.prompt_mask,
    }
    return {name: tensor for name, tensor in given.items() if tensor is not None}


def _picture(kind: str, colour: tuple[int, int, int]) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(data, kind)
    return data.getvalue()
