"""Texts of a language model, drawn by a generator of this process and scored."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final, final

import torch

from dina_lrm.generators.generator import Generator
from dina_lrm.generators.load import loaded_generator
from dina_lrm.generators.settings import as_asked, usual_settings
from dina_lrm.integrations.given import levels_of
from dina_lrm.integrations.once import Once
from dina_lrm.integrations.scorer import NoScoreError, ScoreWarning
from dina_lrm.integrations.text_settings import TextSettings
from dina_lrm.precision import default_device
from dina_lrm.rewards.base import BoundReward
from dina_lrm.rewards.names import is_reward, load_reward
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class _Drawer:
    generator: Generator
    reward: BoundReward
    steps: int


_READY: Final[Once[TextSettings, _Drawer]] = Once()
_TURN: Final = Lock()


@final
class Drawing:
    """A generator and the reward of its latents, loaded at the first use, once for equal settings in a process."""

    def __init__(self, settings: TextSettings) -> None:
        assert settings.draw is not None
        levels = levels_of(settings.noise_level)
        self._settings = replace(settings, noise_level=levels if len(levels) > 1 else levels[0] if levels else None)

    def scores(self, texts: Sequence[str], wanted: Sequence[str]) -> list[float | None]:
        """Raw scores of what the texts look like, each for the prompt that was wanted; None where nothing was drawn.

        Every text begins at the same noise. What the generator's encoders cannot read of a text is left out, and warned
        of once.

        Raises:
            ValueError: for an empty prompt, and for a reward that cannot read this generator.
            NoScoreError: where a score is no finite number.
        """
        step = self._settings.batch_size
        parts = [slice(start, start + step) for start in range(0, len(texts), step)]
        with _TURN, torch.no_grad():
            drawer = _READY.get(self._settings, lambda: _load(self._settings))
            return [score for part in parts for score in self._part(drawer, texts[part], wanted[part])]

    def _part(self, drawer: _Drawer, texts: Sequence[str], wanted: Sequence[str]) -> list[float | None]:
        generator = drawer.generator
        told = generator.backbone.encode_prompts(list(texts))
        cut = next((sentence for sentence in told.truncated or () if sentence), None)
        if cut is not None:
            warnings.warn(f"text reward: a text is longer than the generator reads: {cut}", ScoreWarning, stacklevel=2)
        noise = generator.noise([self._settings.seed] * len(texts))
        with generator.reference():
            latents = generator.denoise(noise, told, generator.levels(drawer.steps))
        drawn = latents.isfinite().flatten(1).all(1).tolist()
        rows = [row for row, whole in enumerate(drawn) if whole]
        found: list[float | None] = [None] * len(texts)
        if rows:
            scores = drawer.reward.raw(latents[rows], [wanted[row] for row in rows], self._settings.seed, None).tolist()
            for row, score in zip(rows, scores, strict=True):
                if not math.isfinite(score):
                    raise NoScoreError(f"{self._settings.model}: the score of {texts[row]!r} is {score}")
                found[row] = score
        return found


def _load(settings: TextSettings) -> _Drawer:
    usual = usual_settings(str(settings.draw), settings.resolution)
    asked = as_asked(usual, sampling_steps=settings.steps, guidance=settings.guidance, resolution=settings.resolution)
    device = default_device() if settings.device == "auto" else settings.device
    generator = loaded_generator(asked, device)
    generator.cuts_prompts = True
    whole = is_reward(settings.model) or settings.model.startswith(("latent:", "image:"))
    name = settings.model if whole else f"latent:{settings.model}"
    levels = settings.noise_level
    assert levels is None or isinstance(levels, float | tuple)
    try:
        reward = load_reward(name, generator, levels).bound_to(generator)
    except DinaError as error:
        raise DinaError(f"text reward: model {settings.model!r} for pictures of {settings.draw!r}: {error}") from error
    return _Drawer(generator, reward, asked.sampling_steps)
