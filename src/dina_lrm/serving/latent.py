"""A latent reward model behind a name."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, final

import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import rows_of
from dina_lrm.data.buckets import nearest_bucket
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.images import fit, image_pixels
from dina_lrm.reward_model.checks import check_latents, check_scale
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.serving.items import Item, ItemScore, LatentItem, PictureItem
from dina_lrm.serving.problems import unprocessable

KEPT_TEXTS: Final = 256
"""Prompts of pictures whose conditioning is kept by their text."""


@final
class LatentServed:
    """A latent reward model: scores latents as they are, and pictures through the generator's encoder.

    `revision` says which weights these are. With `strict`, conditioning of another prompt length than the model was
    trained with is refused; else it is said in a warning.
    """

    def __init__(self, name: str, model: LatentRewardModel, revision: str = "", strict: bool = False) -> None:
        self.name, self.model, self.revision, self.strict = name, model, revision, strict
        self._texts: OrderedDict[str, Conditioning] = OrderedDict()
        self._own: Conditioning | None = None
        with contextlib.suppress(ValueError):  # without text encoders nothing is known but what comes
            self._own = model.backbone.empty_conditioning()

    def check(self, item: Item) -> None:
        """Raise Problem for latents or conditioning that the backbone cannot read."""
        if isinstance(item, PictureItem):
            return
        try:
            check_latents("latents", item.latents[None], self.model.backbone)
            if item.state == "clean":
                check_scale("latents", item.latents[None])
        except ValueError as error:
            raise unprocessable("bad_latents", str(error)) from error
        if item.state == "noisy" and len(item.levels) != 1:
            raise unprocessable("bad_levels", f"{len(item.levels)} levels for a noisy state; accepted: its own one")
        if self._own is not None:
            self._check_conditioning(item.conditioning, self._own)

    def score(self, items: Sequence[Item]) -> list[ItemScore]:
        """Score items of one key."""
        latents = [item for item in items if isinstance(item, LatentItem)]
        pictures = [item for item in items if isinstance(item, PictureItem)]
        return [*self._of_latents(latents), *self._of_pictures(pictures)]

    def encode(self, texts: Sequence[str]) -> Conditioning:
        """The conditioning of prompts, one row each; those of late are kept."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            self._texts.update(zip(new, rows_of(self.model.backbone.encode_prompts(new)), strict=True))
        found = Conditioning.cat([self._texts[text] for text in texts])
        while len(self._texts) > KEPT_TEXTS:
            self._texts.popitem(last=False)
        return found

    def z(self, raw: float) -> float:
        """The score less the mean stored with the model, over its standard deviation."""
        config = self.model.config
        if (config.score_mean, config.score_std) == (0.0, 1.0):
            raise unprocessable("no_statistics", f"{self.name} was stored without mean and deviation of its scores")
        return (raw - config.score_mean) / config.score_std

    def probability(self, margin: float, levels: tuple[float, ...]) -> float:
        """P(first preferred) by the model's own likelihood at these levels; none are the model's."""
        return float(self.model.margin_probability(torch.tensor(margin), levels or None))

    def info(self) -> dict[str, Any]:
        """Family, channels, lengths and levels, for clients to check themselves against."""
        config, backbone = self.model.config, self.model.backbone
        return {
            "kind": "latent",
            "revision": self.revision,
            "family": config.backbone.family,
            "latent_channels": backbone.latent_channels,
            "latent_multiple": backbone.latent_multiple,
            "prompt_length": config.backbone.prompt_length,
            "tokens": None if self._own is None else self._own.prompt_embeds.shape[1],
            "noise_level": config.noise_level,
            "ensemble_levels": list(config.ensemble_levels),
            "score_mean": config.score_mean,
            "score_std": config.score_std,
        }

    def _check_conditioning(self, told: Conditioning, own: Conditioning) -> None:
        # Where there is a pooled vector the generator attends to padding too: there the mask serves the head alone
        required = {"pooled_prompt_embeds": True, "prompt_mask": own.pooled_prompt_embeds is None}
        for name, code in (("pooled_prompt_embeds", "pooled"), ("prompt_mask", "mask")):
            given, wanted = getattr(told, name), getattr(own, name)
            if given is None and wanted is not None and required[name]:
                raise unprocessable(f"{code}_required", f"no {name}; {self.name} needs it")
            if given is not None and wanted is None:
                raise unprocessable(f"{code}_refused", f"{name} was sent; {self.name} reads none")
        for name in ("prompt_embeds", "pooled_prompt_embeds"):
            given, wanted = getattr(told, name), getattr(own, name)
            if wanted is not None and given.shape[-1] != wanted.shape[-1]:
                width = f"{name} is {given.shape[-1]} wide; accepted by {self.name}: {wanted.shape[-1]}"
                raise unprocessable("bad_width", width)
        if self.strict and self._other_length(told):
            raise unprocessable("prompt_length", self._other_length(told))

    def _other_length(self, told: Conditioning) -> str:
        """A sentence about a number of tokens that the model was not trained with, or ""."""
        if self._own is None or told.prompt_embeds.shape[1] == self._own.prompt_embeds.shape[1]:
            return ""
        trained = self._own.prompt_embeds.shape[1]
        return f"{told.prompt_embeds.shape[1]} text tokens; {self.name} was trained with {trained}"

    def _noticed(self, told: Conditioning) -> list[tuple[str, str]]:
        """What is another way than the model's own, by code; "" where nothing is."""
        unmasked = told.prompt_mask is None and self._own is not None and self._own.prompt_mask is not None
        without = "no prompt_mask: padding counts as text" if unmasked else ""
        return [("prompt_length", self._other_length(told)), ("mask_absent", without)]

    def _of_latents(self, items: Sequence[LatentItem]) -> list[ItemScore]:
        if not items:
            return []
        told = Conditioning.cat([item.conditioning for item in items]).to(self.model.device)
        latents = torch.stack([item.latents for item in items]).float().to(self.model.device)
        with torch.no_grad():
            found = self._raw(latents, told, items)
        warned = [(code, text) for code, text in self._noticed(told) if text]
        return [ItemScore(raw, tuple(warned)) for raw in found.tolist()]

    def _raw(self, latents: Tensor, told: Conditioning, items: Sequence[LatentItem]) -> Tensor:
        levels = [item.levels or (self.model.config.noise_level,) for item in items]
        if items[0].state == "noisy":
            return self.model.score_noisy(latents, torch.tensor([level for (level,) in levels]), told)
        noise = torch.stack([seeded_noise(latents.shape[1:], item.seed) for item in items]).to(latents.device)
        if len(levels[0]) > 1:  # one ensemble, which is a part of the key
            return self.model.score_latents(latents, told, levels[0], noise=noise)
        read_at = torch.tensor([level for (level,) in levels])
        return self.model.score_noisy(self.model.process.add_noise(latents, noise, read_at), read_at, told)

    def _of_pictures(self, items: Sequence[PictureItem]) -> list[ItemScore]:
        if not items:
            return []
        bucket = nearest_bucket(items[0].picture.size, self.model.buckets)
        pixels = torch.stack([fit(image_pixels(item.picture), bucket) for item in items])
        latents = self.model.encode_images(pixels, batch_size=len(items))
        told = self.encode([item.prompt for item in items])
        rows = zip(items, latents, rows_of(told), strict=True)
        found = self._of_latents([LatentItem(each, row, item.levels, item.seed) for item, each, row in rows])
        cut = told.truncated or (None,) * len(items)
        unread = self.model.backbone.unread_prompts([item.prompt for item in items])
        return [
            ItemScore(score.raw, (*score.warnings, *_said("prompt_truncated", a), *_said("prompt_not_read", b)))
            for score, a, b in zip(found, cut, unread, strict=True)
        ]


def _said(code: str, sentence: str | None) -> list[tuple[str, str]]:
    return [] if sentence is None else [(code, sentence)]
