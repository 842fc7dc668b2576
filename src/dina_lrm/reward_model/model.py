r"""The latent reward model: a forward process, a backbone and a head.

    x_t   = alpha(t) x_0 + sigma(t) eps            noise is a function of (seed, latent shape) alone
    score = head(backbone features of x_t at t)    raw, unbounded; compare scores of one prompt and one noise level

Every image of a shape sees the same noise, so that scores can be compared, and a score does not depend on what else is
in the batch or on how large it is.

```python
model = LatentRewardModel.from_pretrained("synthetic")
model.score(["a.png", "b.png"], "a red cube")
model.win_probability("a.png", "b.png", "a red cube", noise_level=(0.2, 0.5, 0.7))
```
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.settings import EncoderSettings, T5Weights
from dina_lrm.heads.names import check_known, parsed_weights
from dina_lrm.images import split_images
from dina_lrm.locate import split_score
from dina_lrm.pictures.sources import GivenPicture
from dina_lrm.preference.likelihood import PreferenceModel
from dina_lrm.reward_model.assembly import backbone_of, fresh_head
from dina_lrm.reward_model.checks import (
    NoiseLevels,
    checked_levels,
    checked_prompts,
    matched_prompts,
)
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.describing import as_html, describe, two_lines
from dina_lrm.reward_model.formats import ours as checkpoint
from dina_lrm.reward_model.inputs import Notices, PromptStore, encoded_images
from dina_lrm.reward_model.level_scores import (
    LevelScores,
    scoring_mode,
)
from dina_lrm.reward_model.reading import ScoreReader
from dina_lrm.typed import DinaError, require

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


class LatentRewardModel(ScoreReader):
    """Scores images, latents and noisy latents for prompts. Make one with `from_pretrained` or `build`.

    Scoring and encoding are safe from several threads, which take turns; a shared pipeline that samples in another
    thread is not waited for.
    """

    @classmethod
    def build(
        cls,
        config: RewardModelConfig,
        pipeline: "DiffusionPipeline | None" = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        seed: int = 0,
    ) -> "LatentRewardModel":
        """A model to be trained: pretrained backbone, fresh head and fresh LoRA drawn from `seed`.

        `pipeline` shares the weights of a loaded generator; `dtype` is the backbone's (head and LoRA are float32).
        """
        backbone = backbone_of(config, pipeline, device, dtype)
        model = cls(config, backbone, fresh_head(config, backbone, seed))
        if config.lora is not None:
            backbone.add_lora(config.lora, seed)
        elif config.own_backbone:
            backbone.unfreeze()
        return model

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        pipeline: "DiffusionPipeline | None" = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        backbone: str | None = None,
        revision: str | None = None,
        trainable: bool = False,
        encoders: EncoderSettings | None = None,
        t5_weights: T5Weights | None = None,
    ) -> "LatentRewardModel":
        """Load a stored model: "synthetic", a folder (ours, or as released with the paper), or a hub id.

        `pipeline` shares the weights of a loaded generator, which stays as it is for everybody else: a LoRA on it may
        learn, but loading and scoring are ValueErrors while the shared weights themselves are trained, and once they
        have changed. `backbone` names another
        place of the same generator than the one stored; `device="auto"` is the first there is of cuda, xpu, mps and
        cpu, where nothing is said it is the CPU. The model is ready for scoring: frozen, in eval mode,
        its LoRA merged where it stands alone. `encoders` says how text encoders and autoencoder are held, by default
        as long as all of them fit into half of what is free; `t5_weights` replaces what is stored with the model.
        A name may say which of several scores is meant: FOLDER?score=NAME is `named`, and
        FOLDER?score=NAME:WEIGHT,NAME:WEIGHT is `weighted`. With `trainable` the LoRA stays separate and, like the head,
        trains.
        Raises ValueError naming any missing, unexpected or misshapen tensor.
        """
        stored = checkpoint.read(name, revision, backbone)
        config = stored.config
        if t5_weights is not None:
            config = replace(config, backbone=replace(config.backbone, t5_weights=t5_weights))
        own = backbone_of(config, pipeline, device, dtype)
        own.check_shared()
        if encoders is not None:
            own.hold_encoders(encoders)
        model = cls(config, own, fresh_head(config, own, seed=0))
        checkpoint.load_weights(stored, own, model.head)
        if not trainable:
            model.requires_grad_(False)
            if config.lora is not None and not own.shared:
                own.merge_lora(keep_base=False)
        _, score = split_score(name)
        weighted = model.weighted(parsed_weights(str(name), score)) if score is not None and ":" in score else model
        return weighted.train(trainable)

    @property
    def preference(self) -> PreferenceModel:
        """How margins of scores become probabilities."""
        return self.config.preference

    @property
    def device(self) -> torch.device:
        """Where the model computes and where its results are."""
        return self.backbone.device

    def score(
        self,
        images: GivenPicture | Sequence[GivenPicture],
        prompts: str | Sequence[str],
        noise_level: NoiseLevels | None = None,
        seed: int = 0,
        batch_size: int = 16,
    ) -> Float[Tensor, " images"]:
        """Raw float32 scores of images: paths, bytes, PIL, arrays, tensors, or a batch tensor (B, 3, H, W) in [0, 1].

        Also file objects, columns of paths, and {"bytes", "path"} as the datasets library has undecoded images.
        `prompts` is one for each image, or one string for all; none may be empty. A sequence of noise levels is a
        token-level ensemble; None is the level stored with the model. `batch_size` bounds memory and changes nothing
        else. Warns once of images that were resized (`ResizeWarning`) and prompts that were cut
        (`PromptTruncatedWarning`). Of a model with several scores it is the main one; see `scores` and `named`.
        """
        items = split_images(images)
        matched = matched_prompts("score", prompts, len(items))
        return self.main_of(self._image_scores("score", items, matched, noise_level, seed, batch_size))

    def scores(
        self,
        images: GivenPicture | Sequence[GivenPicture],
        prompts: str | Sequence[str],
        noise_level: NoiseLevels | None = None,
        seed: int = 0,
        batch_size: int = 16,
    ) -> dict[str, Float[Tensor, " images"]]:
        """`score` for each of the model's scores by name, from one pass; a single one without a name is "score"."""
        items = split_images(images)
        matched = matched_prompts("scores", prompts, len(items))
        return self.by_name(self._image_scores("scores", items, matched, noise_level, seed, batch_size))

    def named(self, name: str) -> "LatentRewardModel":
        """The same model, its weights shared, whose main score is the one of that name: all else reads that one.

        ValueError for a name that is none of `config.names`.
        """
        view = LatentRewardModel(self.config.with_scales({}, main=name), self.backbone, self.head)
        view.training = self.training
        return view

    def weighted(self, weights: Mapping[str, float]) -> "LatentRewardModel":
        """The same model, its weights shared, whose score is a sum of the z-scores of its named scores, from one pass.

        It has no likelihood of its own: `win_probability` is a ValueError. ValueError for a name that is none, no
        weight but 0, and one that is not finite.
        """
        for name, weight in weights.items():
            check_known("weighted", name, self.config.names)
            require(math.isfinite(weight), f"weighted.{name}", weight, "a finite number")
        require(any(weights.values()), "weighted", dict(weights), "at least one weight beside 0")
        view = LatentRewardModel(self.config, self.backbone, self.head)
        view.training, view.weights = self.training, dict(weights)
        return view

    def score_latents(
        self,
        latents: Shaped[Tensor, "..."],
        conditioning: Conditioning,
        noise_level: NoiseLevels | None = None,
        noise: Shaped[Tensor, "..."] | None = None,
        seed: int = 0,
        *,
        own: bool = False,
    ) -> Float[Tensor, " batch"]:
        """Raw float32 scores of clean latents (batch, channels, height, width), differentiable with respect to them.

        Latents are in the generator's scaled space. `noise` of the latents' shape overrides `seed`; one draw serves
        every level of an ensemble. Conditioning of a single prompt serves all latents. Latents far larger than any of
        pictures are refused, as not scaled; a generator's `own`, which it sampled, are scored with a warning.
        """
        levels = checked_levels("score_latents", noise_level, self.config.noise_level)
        every = self._latent_scores("score_latents", latents, conditioning, [levels], noise, seed, own)
        return self.main_of(every[:, 0])

    def latent_scores(
        self,
        latents: Shaped[Tensor, "..."],
        conditioning: Conditioning,
        noise_level: NoiseLevels | None = None,
        noise: Shaped[Tensor, "..."] | None = None,
        seed: int = 0,
        *,
        own: bool = False,
    ) -> dict[str, Float[Tensor, " batch"]]:
        """`score_latents` for each of the model's scores by name, from one pass; all differentiable."""
        levels = checked_levels("latent_scores", noise_level, self.config.noise_level)
        every = self._latent_scores("latent_scores", latents, conditioning, [levels], noise, seed, own)
        return self.by_name(every[:, 0])

    def score_levels(
        self,
        latents: Shaped[Tensor, "..."],
        conditioning: Conditioning,
        levels: Sequence[float | int],
        ensembles: Sequence[Sequence[float | int]] = (),
        noise: Shaped[Tensor, "..."] | None = None,
        seed: int = 0,
    ) -> LevelScores:
        """`score_latents` at each of `levels` and for each of `ensembles`, with one backbone pass a distinct level."""
        groups = [
            checked_levels("score_levels", group, 0.0) for group in ([[level] for level in levels] + [*ensembles])
        ]
        scores = self.main_of(self._latent_scores("score_levels", latents, conditioning, groups, noise, seed))
        return LevelScores(scores[:, : len(levels)], scores[:, len(levels) :])

    def score_noisy(
        self,
        noisy_latents: Shaped[Tensor, "..."],
        noise_level: float | int | Shaped[Tensor, "..."],
        conditioning: Conditioning,
    ) -> Float[Tensor, " batch"]:
        """Raw float32 scores of states x_t at their own noise levels (one number, or one an item); differentiable."""
        return self.main_of(self._state_scores("score_noisy", noisy_latents, noise_level, conditioning))

    def noisy_scores(
        self,
        noisy_latents: Shaped[Tensor, "..."],
        noise_level: float | int | Shaped[Tensor, "..."],
        conditioning: Conditioning,
    ) -> dict[str, Float[Tensor, " batch"]]:
        """`score_noisy` for each of the model's scores by name, from one pass; all differentiable."""
        return self.by_name(self._state_scores("noisy_scores", noisy_latents, noise_level, conditioning))

    def win_probability(
        self,
        images_a: GivenPicture | Sequence[GivenPicture],
        images_b: GivenPicture | Sequence[GivenPicture],
        prompts: str | Sequence[str],
        noise_level: NoiseLevels | None = None,
        seed: int = 0,
        batch_size: int = 16,
    ) -> Float[Tensor, " pairs"]:
        """P(a preferred) in (0, 1) from the model's own likelihood; both images see the same noise."""
        a, b = split_images(images_a), split_images(images_b)
        if len(a) != len(b):
            raise DinaError(f"win_probability: {len(a)} images a and {len(b)} images b; accepted: equally many")
        matched = matched_prompts("win_probability", prompts, len(a))
        every = self._image_scores("win_probability", [*a, *b], matched * 2, noise_level, seed, batch_size)
        scores = self.main_of(every)
        return self.margin_probability(scores[: len(a)] - scores[len(a) :], noise_level)

    def margin_probability(
        self, margin: Float[Tensor, "..."], noise_level: NoiseLevels | None = None
    ) -> Float[Tensor, "..."]:
        """P(a preferred) from the margin of raw scores at a noise level or of an ensemble of levels.

        For an ensemble sigma(t)^2 is averaged over its levels: the Thurstone variance is then the mean of the levels'.
        ValueError for a weighted sum of several scores, which nobody judged.
        """
        if self.weights:
            raise DinaError(f"win probability of a weighted sum {self.weights}; accepted: one score, as named(...)")
        levels = checked_levels("margin_probability", noise_level, self.config.noise_level)
        sigma = self.process.sigma(torch.tensor(levels)).square().mean().sqrt().to(margin.device)
        return self.preference.probability(margin / self.config.temperature, sigma)

    def normalize(self, raw: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The z-score (raw - mean) / std, with the mean and standard deviation recorded at training time.

        A weighted sum is one of z-scores, and stays as it is.
        """
        if self.weights:
            return raw
        return (raw - self.config.score_mean) / self.config.score_std

    def encode_prompts(self, prompts: str | Sequence[str]) -> Conditioning:
        """The conditioning of prompts, one row each; warns once of truncated ones and of what is not read in them
        (`PromptTruncatedWarning`, `PromptUnreadWarning`).
        """
        items = checked_prompts("encode_prompts", prompts, may_be_empty=True)
        if not items:
            raise DinaError("encode_prompts: no prompts given; accepted: at least one")
        notices = Notices()
        with scoring_mode(self, self.backbone):
            store = PromptStore(self.backbone, items, notices)
            conditioning = store.take(items)
        notices.say("encode_prompts", stacklevel=2)
        return conditioning

    def encode_images(
        self, images: GivenPicture | Sequence[GivenPicture], batch_size: int = 16
    ) -> Float[Tensor, "images channels height width"]:
        """Latents of images of one bucket, in the generator's scaled space; warns once of resized ones."""
        notices = Notices()
        with scoring_mode(self, self.backbone):
            latents = encoded_images(
                "encode_images", self.backbone, split_images(images), self.buckets, batch_size, notices
            )
        notices.say("encode_images", stacklevel=2)
        return latents

    def describe(self) -> dict[str, Any]:
        """All that a score depends on and means, as plain values."""
        return describe(self.config, self.backbone, self.head) | ({"weights": self.weights} if self.weights else {})

    def __repr__(self) -> str:
        """Two lines; `describe` has everything, and `named_modules` the parts."""
        return two_lines(self.config, self.backbone, self.head)

    def _repr_html_(self) -> str:
        """The same, with what was measured, where a notebook shows it."""
        return as_html(self.config, self.backbone, self.head)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model as a folder: config, head, LoRA, model card; complete or not at all."""
        if self.weights:
            raise DinaError(f"save_pretrained: a weighted sum {self.weights}; accepted: the model that it is of")
        with checkpoint.to_store(self.config, self.backbone, self.head) as stored:
            checkpoint.write(folder, stored)

    def push_to_hub(
        self, repo_id: str, private: bool | None = True, token: str | None = None, message: str = "Upload reward model"
    ) -> str:
        """Upload what `save_pretrained` writes to a hub repository; returns the commit's address.

        Where there is no such repository, a private one is made, unless asked otherwise; None is the owner's default.
        """
        with checkpoint.to_store(self.config, self.backbone, self.head) as stored:
            return checkpoint.push(repo_id, stored, private, token, message)
