"""A latent reward model behind a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.buckets import nearest_bucket
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.images import fit, image_pixels
from dina_lrm.reward_model.checks import LARGE, LARGEST_SCALE, check_latents, check_scale, root_mean_squares
from dina_lrm.reward_model.kept_prompts import KeptPrompt, KeptPrompts
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.serving.items import Item, ItemScore, LatentItem, PictureItem, unread
from dina_lrm.serving.problems import unprocessable

TEXT_BYTES: Final = 256 << 20
"""Bytes of prompts whose conditioning is kept by their text."""


@final
class LatentServed:
    """A latent reward model: scores latents as they are, and pictures through the generator's encoder.

    `revision` says which weights these are. With `strict`, conditioning of another prompt length than the model was
    trained with is refused; else it is said in a warning. Without `text_encoders` none is ever loaded: what needs one,
    pictures and texts, is refused. Models that read prompts alike may share their `texts`.
    """

    def __init__(
        self,
        name: str,
        model: LatentRewardModel,
        revision: str = "",
        strict: bool = False,
        text_encoders: bool = True,
        texts: KeptPrompts | None = None,
    ) -> None:
        self.name, self.model, self.revision, self.strict = name, model, revision, strict
        self.text_encoders = text_encoders
        self._texts = texts or KeptPrompts(model, TEXT_BYTES)
        self._own = model.backbone.prompt_shape
        head = model.config.head  # a generator that reads a mask is refused without one
        self._reads_mask = isinstance(head, QFormerConfig) and head.mask_text_padding

    def warm(self) -> None:
        """Load what the first request would wait for."""
        if self.text_encoders:
            self.model.backbone.load_encoders()

    def held(self) -> list[nn.Module]:
        """The modules that are in memory for it."""
        return [*self.model.backbone.held().values(), self.model]

    def check(self, item: Item) -> None:
        """Raise Problem for latents or conditioning that the backbone cannot read."""
        if isinstance(item, PictureItem):
            self._expect_text_encoders("pictures and their prompts")
            return
        try:
            check_latents("latents", item.latents[None], self.model.backbone)
            if item.state == "clean":
                self._check_scale(item)
        except ValueError as error:
            raise unprocessable("bad_latents", str(error)) from error
        if item.state == "noisy" and len(item.levels) != 1:
            raise unprocessable("bad_levels", f"{len(item.levels)} levels for a noisy state; accepted: its own one")
        self._check_conditioning(item.conditioning)

    def score(self, items: Sequence[Item]) -> list[ItemScore]:
        """Score items of one key."""
        latents = [item for item in items if isinstance(item, LatentItem)]
        pictures = [item for item in items if isinstance(item, PictureItem)]
        return [*self._of_latents(latents), *self._of_pictures(pictures)]

    def encode(self, texts: Sequence[str]) -> list[KeptPrompt]:
        """Prompts encoded, in main memory; those of late are kept."""
        self._expect_text_encoders("texts")
        return [replace(row, conditioning=row.conditioning.to("cpu")) for row in self._texts.take(texts)]

    def z(self, raw: float) -> float:
        """The score less the mean stored with the model, over its standard deviation."""
        config = self.model.config
        if self.model.weights:  # a sum of z-scores
            return raw
        if (config.score_mean, config.score_std) == (0.0, 1.0):
            raise unprocessable("no_statistics", f"{self.name} was stored without mean and deviation of its scores")
        return (raw - config.score_mean) / config.score_std

    def probability(self, margin: float, levels: tuple[float, ...]) -> float:
        """P(first preferred) by the model's own likelihood at these levels; none are the model's."""
        if self.model.weights:
            raise unprocessable("no_likelihood", f"{self.name} is a weighted sum of scores, which nobody compared by")
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
            "prompt_padding": config.backbone.prompt_padding,
            "tokens": self._own.tokens,
            "prompt_width": self._own.width,
            "pooled_width": self._own.pooled or None,
            "text_encoders": self.text_encoders,
            "noise_level": config.noise_level,
            "ensemble_levels": list(config.ensemble_levels),
            "dtype": str(backbone.dtype).removeprefix("torch."),
            "device": str(backbone.device),
            "text_bytes": self._texts.bytes,
            "score_mean": config.score_mean,
            "score_std": config.score_std,
            "preference": config.preference.to_dict(),
            "temperature": config.temperature,
            "scores": list(config.names),
            "main_score": config.main,
            "scales": {name: asdict(scale) for name, scale in config.scales.items()},
        }

    def _expect_text_encoders(self, what: str) -> None:
        if not self.text_encoders:
            told = f"{what} need text encoders, and this server holds none (--no-text-encoders)"
            raise unprocessable("no_text_encoders", f"{told}; accepted: latents with prompt_embeds, or hashes")

    def _check_conditioning(self, told: Conditioning) -> None:
        given, own = told.shape, self._own
        if told.pooled_prompt_embeds is None and own.pooled:
            raise unprocessable("pooled_required", f"no pooled_prompt_embeds; {self.name} needs it")
        if told.pooled_prompt_embeds is not None and not own.pooled:
            raise unprocessable("pooled_refused", f"pooled_prompt_embeds was sent; {self.name} reads none")
        # Where there is a pooled vector the generator attends to padding too: there the mask serves the head alone
        if told.prompt_mask is None and not own.pooled:
            raise unprocessable("mask_required", f"no prompt_mask; {self.name} needs it")
        if told.prompt_mask is not None and not bool(told.prompt_mask.any()):
            raise unprocessable("bad_mask", "prompt_mask has no token that is not masked; accepted: at least one")
        for name, found, wanted in (
            ("prompt_embeds", given.width, own.width),
            ("pooled_prompt_embeds", given.pooled, own.pooled),
        ):
            if found != wanted:
                told_of = f"{name} is {found} wide; accepted by {self.name}: {wanted}"
                raise unprocessable("bad_width", told_of)
        try:
            self.model.backbone.check_prompts(told)
        except ValueError as error:
            raise unprocessable("prompt_padding", str(error)) from error
        if self.strict and given.tokens != own.tokens:
            raise unprocessable("prompt_length", self._other_length(given.tokens))

    def _other_length(self, tokens: int) -> str:
        return f"{tokens} text tokens; {self.name} was trained with {self._own.tokens}"

    def _check_scale(self, item: LatentItem) -> None:
        """Refuse latents beyond the scaled space; a generator's own are warned of when they are scored."""
        if not item.own:
            check_scale("latents", item.latents[None])

    def _noticed(self, told: Conditioning) -> Iterator[tuple[str, str]]:
        """What is another way than the model's own, by code."""
        if told.shape.tokens != self._own.tokens:
            yield "prompt_length", self._other_length(told.shape.tokens)
        if told.prompt_mask is None and self._reads_mask:
            yield "mask_absent", "no prompt_mask: padding counts as text"
        for sentence in told.truncated or ():
            if sentence is not None:
                yield "prompt_truncated", sentence

    def _of_latents(self, items: Sequence[LatentItem]) -> list[ItemScore]:
        if not items:
            return []
        told = Conditioning.cat([item.conditioning.to(self.model.device) for item in items])
        latents = torch.stack([item.latents for item in items]).float().to(self.model.device)
        with torch.no_grad():
            by_name = self._raw(latents, told, items)
            main = self.model.main_among(by_name).tolist()
        named = self._named({name: found.tolist() for name, found in by_name.items()})
        rows = zip(items, main, named, strict=True)
        return [
            ItemScore(raw, (*self._noticed(item.conditioning), *_large(item), *item.noticed), own)
            for item, raw, own in rows
        ]

    def _named(self, every: Mapping[str, list[float]]) -> list[tuple[tuple[str, float, float | None], ...]]:
        """Each item's scores by name with their z-scores; nothing of a model with a single one."""
        columns = [
            [
                (name, raw, None if (scale.mean, scale.std) == (0.0, 1.0) else (raw - scale.mean) / scale.std)
                for raw in every[name]
            ]
            for name, scale in self.model.config.scales.items()
        ]
        return [*zip(*columns, strict=True)] if len(columns) > 1 else [()] * len(columns[0])

    def _raw(self, latents: Tensor, told: Conditioning, items: Sequence[LatentItem]) -> dict[str, Tensor]:
        levels = [item.levels or (self.model.config.noise_level,) for item in items]
        if items[0].state == "noisy":
            return self.model.noisy_scores(latents, torch.tensor([level for (level,) in levels]), told)
        noise = torch.stack([seeded_noise(latents.shape[1:], item.seed) for item in items]).to(latents.device)
        if len(levels[0]) > 1:  # one ensemble, which is a part of the key
            return self.model.latent_scores(latents, told, levels[0], noise=noise, own=True)
        read_at = torch.tensor([level for (level,) in levels])
        return self.model.noisy_scores(self.model.process.add_noise(latents, noise, read_at), read_at, told)

    def _of_pictures(self, items: Sequence[PictureItem]) -> list[ItemScore]:
        if not items:
            return []
        bucket = nearest_bucket(items[0].picture.size, self.model.buckets)
        pixels = torch.stack([fit(image_pixels(item.picture), bucket) for item in items])
        latents = self.model.encode_images(pixels, batch_size=len(items))
        prompts = self._texts.take([item.prompt for item in items])
        rows = zip(items, latents, prompts, strict=True)
        return self._of_latents(
            [
                LatentItem(each, row.conditioning, item.levels, item.seed, noticed=unread(row))
                for item, each, row in rows
            ]
        )


def _large(item: LatentItem) -> tuple[tuple[str, str], ...]:
    """The warning of a generator's own latent that is too large."""
    too_large = item.own and item.state == "clean" and bool(root_mean_squares(item.latents[None]) > LARGEST_SCALE)
    return (("large_latents", LARGE),) if too_large else ()
