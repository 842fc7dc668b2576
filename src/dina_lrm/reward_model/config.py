"""What a reward model is, as plain values: saved with its weights, so that training and use cannot disagree."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dina_lrm import __version__
from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.data.buckets import Sizes
from dina_lrm.heads.names import ONLY, check_known, check_names
from dina_lrm.heads.settings import HEAD_KINDS, HeadConfig, QFormerConfig
from dina_lrm.preference.likelihood import PREFERENCE_MODELS, PreferenceModel, Thurstone
from dina_lrm.typed import DinaError, from_plain, one_of, to_plain


@dataclass(frozen=True)
class ScoreScale:
    """What a raw score of one name means: z = (raw - mean) / std; margins are divided by the temperature."""

    mean: float = 0.0
    std: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that no score has."""
        _require(math.isfinite(self.mean), "score_mean", self.mean, "a finite number")
        _require(0 < self.std < math.inf, "score_std", self.std, "a finite number above 0")
        _require(0 < self.temperature < math.inf, "temperature", self.temperature, "a finite number above 0")


@dataclass(frozen=True)
class RewardModelConfig:
    """A complete reward model but for its weights. Defaults are the paper's (section 5.1)."""

    backbone: BackboneConfig
    head: HeadConfig = one_of(QFormerConfig(), HEAD_KINDS, "kind", untagged="qformer")  # noqa: RUF009 - a field
    """The first folders say no kind."""
    lora: LoraSettings | None = field(default_factory=LoraSettings)
    """The reward LoRA; None = the backbone is as pretrained, or has weights of its own (`own_backbone`)."""
    own_backbone: bool = False
    """Every backbone weight was trained and is stored with the model."""
    own_text_encoders: bool = False
    """The text encoders were trained too and are stored with the model (published LRM)."""
    preference: PreferenceModel = one_of(Thurstone(), PREFERENCE_MODELS)  # noqa: RUF009 - a field
    noise_level: float = 0.4
    """Level at which clean latents are scored unless told otherwise."""
    ensemble_levels: tuple[float, ...] = (0.2, 0.5, 0.7)
    """Levels recommended for the token-level ensemble."""
    resolution: int = 1024
    """Side of the square image bucket in pixels; the other buckets have about the same area."""
    buckets: tuple[str, ...] = ()
    """Sizes of pictures as WIDTHxHEIGHT, where those of `resolution` are not meant: what it was trained at."""
    score_mean: float = 0.0
    """Mean and standard deviation of raw scores at training time: z = (raw - mean) / std."""
    score_std: float = 1.0
    temperature: float = 1.0
    """Margins are divided by it before the preference model: calibrates `win_probability`."""
    scores: tuple[str, ...] = ()
    """Names of the scores that the head gives, in the order of its outputs; none: a single one without a name."""
    main_score: str | None = None
    """The one that `score` gives, and that `score_mean`, `score_std` and `temperature` are of; None = the first."""
    other_scales: dict[str, ScoreScale] = field(default_factory=dict)
    """What the scores beside the main one mean."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Free-form facts about the training; `notes["results"]` is the model card's table."""
    library_version: str = __version__

    def __post_init__(self) -> None:
        """Refuse values that could not score."""
        for name, level in [("noise_level", self.noise_level), *(("ensemble_levels", t) for t in self.ensemble_levels)]:
            _require(0.0 <= level <= 1.0, name, level, "noise levels in [0, 1]")
        _require(bool(self.ensemble_levels), "ensemble_levels", self.ensemble_levels, "at least one noise level")
        _require(self.resolution >= 1, "resolution", self.resolution, "a number of pixels, at least 1")
        ScoreScale(self.score_mean, self.score_std, self.temperature)
        check_names("config.scores", self.scores)
        check_known("config.main_score", self.main, self.names)
        for name in self.other_scales:
            check_known("config.other_scales", name, [other for other in self.names if other != self.main])
        Sizes.of_model(self.resolution, self.buckets)
        if self.own_backbone and self.lora is not None:
            raise DinaError("config: own_backbone=True and a LoRA were given; a model has one or the other")

    @property
    def sizes(self) -> Sizes:
        """The sizes of pictures."""
        return Sizes.of_model(self.resolution, self.buckets)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all scores in the order of the head's outputs; "score" is a single one without a name."""
        return self.scores or (ONLY,)

    @property
    def main(self) -> str:
        """The name of the score that is given where none is asked for."""
        return self.main_score or self.names[0]

    @property
    def scales(self) -> dict[str, ScoreScale]:
        """What each score means, by name, in the order of the head's outputs."""
        own = ScoreScale(self.score_mean, self.score_std, self.temperature)
        return {name: own if name == self.main else self.other_scales.get(name, ScoreScale()) for name in self.names}

    def with_scales(self, scales: Mapping[str, ScoreScale], main: str | None = None) -> "RewardModelConfig":
        """The same model with other scales for the scores named, and with the score `main` as its main one."""
        main = self.main if main is None else main
        check_known("score", main, self.names)
        every = {**self.scales, **scales}
        own = every.pop(main)
        return replace(
            self,
            score_mean=own.mean,
            score_std=own.std,
            temperature=own.temperature,
            main_score=main if self.scores else None,
            other_scales={name: scale for name, scale in every.items() if scale != ScoreScale()},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_dict` reads them back to an equal config."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "config") -> "RewardModelConfig":
        """Read plain values strictly.

        Raises ValueError naming the key and both library versions for a key that this version does not know, and for
        values of the wrong type.
        """
        try:
            return from_plain(cls, values, where)
        except (ValueError, TypeError) as error:
            written_by = values.get("library_version", "an unknown version")
            told = str(error) if str(error).startswith(where) else f"{where}: {error}"
            versions = f"written by dina_lrm {written_by!s:.40}, read by {__version__}"
            raise DinaError(f"{told} ({versions}; a newer file may need a newer library)") from error


def _require(condition: bool, where: str, given: object, accepted: str) -> None:
    if not condition:
        raise DinaError(f"config.{where}: got {given!r}; accepted: {accepted}")
