"""One good request in each format, with the scores that the model beside it gives."""

from __future__ import annotations

import base64
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import torch
from PIL import Image
from safetensors.torch import save

from dina_lrm import LatentRewardModel
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import prompt_blob, prompt_hash, rows_of

PROMPTS = ["a large red ring on white", "a small blue bar on black"]


@dataclass(frozen=True)
class Good:
    """A request by its format, how it is asked, and the scores that are right."""

    name: str
    ask: Callable[[httpx.Client], list[float]]
    right: list[float]


def picture(kind: str = "PNG", side: int = 32, **options: Any) -> bytes:  # noqa: ANN401 - Pillow's
    """The file of a small picture."""
    data = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(data, kind, **options)
    return data.getvalue()


def blob() -> dict[str, torch.Tensor]:
    """The tensors of a good request of protocol 1."""
    generator = torch.Generator().manual_seed(0)
    return {
        "latents": 0.8 * torch.randn(2, 16, 8, 8, generator=generator),
        "prompt_embeds": torch.zeros(0),
        "pooled_prompt_embeds": torch.zeros(0),
        "u": torch.tensor([0.2, 0.6]),
        "seeds": torch.tensor([0, 5]),
    }


@dataclass(frozen=True)
class Known:
    """The good requests, and the parts that bad ones are made of."""

    tensors: dict[str, torch.Tensor]
    conditioning: Conditioning
    requests: list[Good]

    def wrong(self, client: httpx.Client) -> list[str]:
        """What is wrong with the answers to the good requests; nothing where all are right."""
        faults = []
        for good in self.requests:
            try:
                found = good.ask(client)
                torch.testing.assert_close(torch.tensor(found), torch.tensor(good.right), rtol=1e-4, atol=1e-4)
            except Exception as error:  # whatever it is, the good request was not answered right
                faults.append(f"the good request {good.name}: {type(error).__name__}: {error!s:.160}")
        return faults


def known() -> Known:
    """Everything that is known of the bundled model."""
    model = LatentRewardModel.from_pretrained("synthetic")
    told = model.encode_prompts(PROMPTS)
    plain = Conditioning(told.prompt_embeds, told.pooled_prompt_embeds)
    assert told.pooled_prompt_embeds is not None
    tensors = blob() | {"prompt_embeds": told.prompt_embeds, "pooled_prompt_embeds": told.pooled_prompt_embeds}
    x, files = tensors["latents"], [picture(), picture("JPEG")]
    own = torch.cat(
        [model.score_latents(x[i : i + 1], plain[i], u, seed=s) for i, (u, s) in enumerate([(0.2, 0), (0.6, 5)])]
    ).tolist()
    seen = model.score(files, PROMPTS).tolist()
    ensemble = model.score_latents(x, told, (0.2, 0.5), seed=7).tolist()
    preferred = [float(model.win_probability(files[0], files[1], PROMPTS[0]))]
    rows, coded = rows_of(told), [base64.b64encode(each).decode() for each in files]
    by_hash = {"latents": x, "u": torch.tensor([[0.2, 0.5]] * 2), "seeds": torch.tensor([7, 7])}
    return Known(
        tensors,
        told,
        [
            Good("protocol 1", lambda client: _first(client, save(tensors)), own),
            Good("protocol 2", lambda client: _by_hash(client, by_hash, rows), ensemble),
            Good("images", lambda client: _images(client, coded), seen),
            Good("multipart", lambda client: _multipart(client, files), seen),
            Good("compare", lambda client: _compare(client, coded), preferred),
            Good("Flow-Factory", lambda client: _compute(client, coded), seen),
            Good("UniRL", lambda client: _unirl(client, coded), seen),
            Good("pickle", lambda client: _pickle(client, files), seen),
        ],
    )


def _json(answer: httpx.Response) -> Any:  # noqa: ANN401 - any JSON value
    answer.raise_for_status()
    return answer.json()


def _first(client: httpx.Client, content: bytes) -> list[float]:
    found: list[float] = _json(client.post("/v1/score", content=content))["raw_scores"]
    return found


def _by_hash(client: httpx.Client, tensors: dict[str, torch.Tensor], rows: list[Conditioning]) -> list[float]:
    names = [prompt_hash(row) for row in rows]
    for name, row in zip(names, rows, strict=True):
        client.put(f"/v1/prompts/{name}", content=save(prompt_blob(row))).raise_for_status()
    content = save(tensors, {"drm": json.dumps({"prompts": names})})
    found = _json(client.post("/v1/score", content=content, headers={"x-drm-protocol-version": "2"}))
    return _raw(found)


def _raw(found: Any) -> list[float]:  # noqa: ANN401 - any JSON value
    scores: list[float] = found["results"]["dina"]["scores"]["raw"]
    return scores


def _images(client: httpx.Client, coded: list[str]) -> list[float]:
    asked = {"prompts": PROMPTS, "images": [{"b64": each} for each in coded]}
    return _raw(_json(client.post("/v1/score/images", json=asked)))


def _multipart(client: httpx.Client, files: list[bytes]) -> list[float]:
    parts = [("image", (f"{number}.png", each)) for number, each in enumerate(files)]
    request = {"request": json.dumps({"prompts": PROMPTS})}
    return _raw(_json(client.post("/v1/score/images", data=request, files=parts)))


def _compare(client: httpx.Client, coded: list[str]) -> list[float]:
    asked = {"prompts": PROMPTS[:1], "images": [{"b64": coded[0]}], "images_b": [{"b64": coded[1]}]}
    found: list[float] = _json(client.post("/v1/compare", json=asked))["p"]
    return found


def _compute(client: httpx.Client, coded: list[str]) -> list[float]:
    asked = {"prompt": PROMPTS, "image": coded, "video": None, "condition_images": None, "condition_videos": None}
    found: list[float] = _json(client.post("/compute", json=asked))["rewards"]
    return found


def _unirl(client: httpx.Client, coded: list[str]) -> list[float]:
    entries = [
        {"history": [{"text": text, "image_b64": image}], "required_rewards": ["dina"], "metadata": None}
        for text, image in zip(PROMPTS, coded, strict=True)
    ]
    return [each["dina"]["raw"] for each in _json(client.post("/score", json={"requests": entries}))["results"]]


def _pickle(client: httpx.Client, files: list[bytes]) -> list[float]:
    content = pickle.dumps({"images": files, "prompts": PROMPTS, "metadata": {}})
    answer = client.post("/v1/pickle/dina", content=content)
    answer.raise_for_status()
    found: list[float] = pickle.loads(answer.content)["scores"]
    return found
