"""Questions to a server of the bundled model, each with the scores that the model gives beside it."""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import prompt_blob, prompt_hash, rows_of
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.prompts import prompts_of

LEVEL = 0.4
SIDES = ((4, 4), (8, 8), (8, 8), (6, 10), (10, 6), (12, 8), (16, 16))
"""Height and width of latents in mixed questions."""


@dataclass(frozen=True)
class Question:
    """One request. `prompts` are the blobs by hash that a server may have to be sent before."""

    kind: str
    path: str
    body: bytes
    wanted: tuple[float, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, bytes] = field(default_factory=dict)

    def scores(self, answer: Mapping[str, Any]) -> list[float]:
        """The raw scores in the body of a 200."""
        if "raw_scores" in answer:
            return [*answer["raw_scores"]]
        return [score for result in answer["results"].values() for score in result["scores"]["raw"]]


class Questioner:
    """Draws questions from one seed, and scores them beside the server, one item at a time."""

    def __init__(self, model: LatentRewardModel, seed: int = 0, captions: int = 64) -> None:
        self.model, self.random = model, np.random.default_rng(seed)
        self.texts = [*prompts_of("synthetic", [seed], captions).prompts]
        self.told = rows_of(model.encode_prompts(self.texts))

    def latents(self, height: int = 8, width: int = 8, count: int = 1) -> Tensor:
        """Clean latents, of the size of those of pictures."""
        drawn = self.random.standard_normal((count, self.model.backbone.latent_channels, height, width))
        return torch.from_numpy((0.8 * drawn).astype(np.float32))

    def step(self, items: int, prompts: int = 14) -> list[Question]:
        """One training step as verl-omni asks: a request of protocol 1 for each item, items of a prompt in a row."""
        return [self.single(self.told[number * prompts // items]) for number in range(items)]

    def single(self, told: Conditioning) -> Question:
        """One item of protocol 1."""
        x, seed = self.latents(), int(self.random.integers(1 << 31))
        plain = Conditioning(told.prompt_embeds, told.pooled_prompt_embeds)
        return self._first([x[0]], [plain], [LEVEL], [seed])

    def step_by_hash(self, items: int, prompts: int = 14) -> list[Question]:
        """The same step by protocol 2: a request for each item, which names its prompt by hash."""
        return [self.single_by_hash(self.told[number * prompts // items]) for number in range(items)]

    def single_by_hash(self, told: Conditioning) -> Question:
        """One item of protocol 2."""
        x, seed, name = self.latents(), int(self.random.integers(1 << 31)), prompt_hash(told)
        asked = {"latents": x, "u": torch.tensor([LEVEL]), "seeds": torch.tensor([seed])}
        wanted = self._wanted([x[0]], [told], [LEVEL], [seed])
        return self._second("2, by hash", asked, wanted, {name: save(prompt_blob(told))}, prompts=[name])

    def grey_pictures(self, count: int) -> list[Question]:
        """Requests of one grey picture each, whose right score is its mean."""
        found = []
        for number in range(count):
            data = io.BytesIO()
            Image.new("RGB", (32, 32), (number % 256,) * 3).save(data, "PNG")
            asked = {"prompts": [self.texts[0]], "images": [{"b64": base64.b64encode(data.getvalue()).decode()}]}
            body = json.dumps(asked).encode()
            found.append(Question("pictures", "/v1/score/images", body, (number % 256 / 255,), _JSON))
        return found

    def first(self) -> Question:
        """Protocol 1: one to four items of one shape, in float32 or bfloat16, some of other prompt lengths."""
        count, dtype = self._count(), torch.bfloat16 if self.random.random() < 0.3 else torch.float32
        x = self.latents(*self._sides(), count).to(dtype)
        length = int(self.random.choice([8, 16, 16, 16, 24]))
        told = [_of_length(self._told(), length) for _ in range(count)]
        return self._first([*x], told, self._levels(count), self._seeds(count))

    def second_by_hash(self) -> Question:
        """Protocol 2: items that name their prompts by hash."""
        count = self._count()
        x, levels, seeds = self.latents(*self._sides(), count), self._levels(count), self._seeds(count)
        rows = [self._told() for _ in range(max(1, count // 2))]
        prompt = [int(self.random.integers(len(rows))) for _ in range(count)]
        asked = {"latents": x, "prompt": torch.tensor(prompt), "u": torch.tensor(levels), "seeds": torch.tensor(seeds)}
        blobs = {prompt_hash(row): save(prompt_blob(row)) for row in rows}
        told = [rows[row] for row in prompt]
        wanted = self._wanted([*x], told, levels, seeds)
        return self._second("2, by hash", asked, wanted, blobs, prompts=[prompt_hash(row) for row in rows])

    def second_noisy(self) -> Question:
        """Protocol 2: states at levels of their own, with texts that the server encodes; packed."""
        count = self._count()
        x, levels = self.latents(*self._sides(), count), self._levels(count)
        row = int(self.random.integers(len(self.texts)))
        wanted = [float(self.model.score_noisy(x[i : i + 1], level, self.told[row])) for i, level in enumerate(levels)]
        asked = {"latents": x, "u": torch.tensor(levels)}
        question = self._second("2, noisy", asked, wanted, state="noisy", texts=[self.texts[row]])
        headers = {**question.headers, "content-encoding": "gzip"}
        return Question(question.kind, question.path, gzip.compress(question.body, 1), question.wanted, headers)

    def second_ensemble(self) -> Question:
        """Protocol 2: an ensemble of levels, latents of two shapes in one request, prompts in the blob."""
        shapes = [self._sides(), self._sides()]
        parts = [self.latents(*shape, int(self.random.integers(1, 3))) for shape in shapes]
        order = [(part, row) for part in range(2) for row in range(len(parts[part]))]
        self.random.shuffle(order)
        order = [(int(part), int(row)) for part, row in order]
        levels = tuple(float(level) for level in np.float32(self.random.uniform(0.1, 0.9, 2)))
        seeds, told = self._seeds(len(order)), self._told()
        items = [parts[part][row] for part, row in order]
        wanted = [
            float(self.model.score_latents(x[None], told, levels, seed=seed))
            for x, seed in zip(items, seeds, strict=True)
        ]
        asked = {f"latents.{number}": part for number, part in enumerate(parts)}
        asked |= {"u": torch.tensor([levels] * len(order)), "seeds": torch.tensor(seeds)} | _tensors(told)
        return self._second("2, ensemble", asked, wanted, order=[[*place] for place in order])

    def pictures(self) -> Question:
        """Pictures in JSON, PNG or JPEG, each with its prompt."""
        count = self._count()
        size = [int(side) for side in self.random.choice([24, 32, 48, 50], 2)]
        data = [_picture(self.random, size, "JPEG" if self.random.random() < 0.5 else "PNG") for _ in range(count)]
        rows = [int(row) for row in self.random.integers(len(self.texts), size=count)]
        texts = [self.texts[row] for row in rows]
        asked = {"prompts": texts, "images": [{"b64": base64.b64encode(each).decode()} for each in data]}
        wanted = [float(self.model.score(each, text)) for each, text in zip(data, texts, strict=True)]
        return Question("pictures", "/v1/score/images", json.dumps(asked).encode(), tuple(wanted), _JSON)

    def mixed(self, distinct: int, told: Callable[[int], None] = lambda _: None) -> list[Question]:
        """So many distinct questions of all kinds."""
        kinds = (self.first, self.second_by_hash, self.first, self.second_noisy, self.second_ensemble, self.pictures)
        found = []
        for number in range(distinct):
            found.append(kinds[number % len(kinds)]())
            told(number + 1)
        return found

    def _first(self, items: list[Tensor], told: list[Conditioning], levels: list[float], seeds: list[int]) -> Question:
        conditioning = {
            "prompt_embeds": torch.cat([each.prompt_embeds for each in told]),
            "pooled_prompt_embeds": torch.cat([_pooled(each) for each in told]),
        }
        asked = {"latents": torch.stack(items), "u": torch.tensor(levels), "seeds": torch.tensor(seeds)} | conditioning
        headers = {"content-type": "application/octet-stream", "x-drm-protocol-version": "1"}
        wanted = tuple(self._wanted(items, told, levels, seeds))
        return Question("1", "/v1/score", save(asked), wanted, headers)

    def _second(
        self,
        kind: str,
        tensors: dict[str, Tensor],
        wanted: list[float],
        blobs: Mapping[str, bytes] | None = None,
        **header: object,
    ) -> Question:
        body = save(tensors, {"drm": json.dumps({"model": "dina", **header})})
        headers = {"content-type": "application/octet-stream", "x-drm-protocol-version": "2"}
        return Question(kind, "/v1/score", body, tuple(wanted), headers, blobs or {})

    def _wanted(
        self, items: list[Tensor], told: list[Conditioning], levels: list[float], seeds: list[int]
    ) -> list[float]:
        with torch.no_grad():
            return [
                float(self.model.score_latents(x[None].float(), row, level, seed=seed))
                for x, row, level, seed in zip(items, told, levels, seeds, strict=True)
            ]

    def _told(self) -> Conditioning:
        return self.told[int(self.random.integers(len(self.told)))]

    def _count(self) -> int:
        return int(self.random.choice([1, 2, 3, 4], p=[0.6, 0.2, 0.1, 0.1]))

    def _sides(self) -> tuple[int, int]:
        return SIDES[int(self.random.integers(len(SIDES)))]

    def _levels(self, count: int) -> list[float]:
        return [float(level) for level in np.float32(self.random.uniform(0.05, 0.95, count))]

    def _seeds(self, count: int) -> list[int]:
        return [int(seed) for seed in self.random.integers(1 << 31, size=count)]


_JSON = {"content-type": "application/json"}


def _pooled(told: Conditioning) -> Tensor:
    assert told.pooled_prompt_embeds is not None
    return told.pooled_prompt_embeds


def _tensors(told: Conditioning) -> dict[str, Tensor]:
    found = {"prompt_embeds": told.prompt_embeds, "pooled_prompt_embeds": _pooled(told)}
    return found if told.prompt_mask is None else {**found, "prompt_mask": told.prompt_mask}


def _of_length(told: Conditioning, length: int) -> Conditioning:
    """Cut, or followed by its first tokens again, as another trainer's prompts are shorter or longer."""
    embeds = torch.cat([told.prompt_embeds, told.prompt_embeds], dim=1)[:, :length]
    return Conditioning(embeds, _pooled(told))


def _picture(random: np.random.Generator, size: list[int], kind: str) -> bytes:
    small = random.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(small).resize((size[0], size[1]), Image.Resampling.BICUBIC).save(data, kind)
    return data.getvalue()
