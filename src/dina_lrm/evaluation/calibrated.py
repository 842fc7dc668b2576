"""A copy of a reward model whose win probabilities can be believed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dina_lrm.backbones.settings import EncoderSettings, T5Weights
from dina_lrm.evaluation.about import set_for
from dina_lrm.evaluation.calibration import Calibration
from dina_lrm.evaluation.evaluate import judge_set
from dina_lrm.evaluation.judges import LatentJudge
from dina_lrm.evaluation.named_sets import NamedSet, made_set
from dina_lrm.evaluation.scoring import ReportProgress
from dina_lrm.locate import split_score
from dina_lrm.reward_model.formats import ours
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class CalibratedCopy:
    """The temperature of a copy, and the calibration at the model's own noise level before and with it.

    Each half of the prompts was judged with the temperature of the other half.
    """

    folder: Path
    temperature: float
    pairs: int
    noise_level: float
    before: Calibration
    after: Calibration

    def __str__(self) -> str:
        """What a person is told, in a sentence."""
        before, after = (measured.interval.text(".1f", percent=True) for measured in (self.before, self.after))
        return (
            f"temperature {self.temperature:.3f} in {self.folder}; ECE in % at t = {self.noise_level:g} on "
            f"{self.pairs} pairs: {before} before, {after} with it; "
            f"a perfect model would show {100 * self.after.ece_floor:.1f}"
        )


def calibrated_copy(
    model: str,
    folder: Path,
    on: NamedSet,
    *,
    pairs: int = 6_000,
    seed: int = 0,
    batch_size: int = 64,
    backbone: str | None = None,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    encoders: EncoderSettings | None = None,
    t5_weights: T5Weights | None = None,
    progress: ReportProgress | None = None,
    option: str = "on",
) -> CalibratedCopy:
    """Fit a temperature on a set that `model` was neither trained nor will be tested on; store it with a copy.

    Of a model with named scores it is that of its main one, or of the one that `model` asks for (FOLDER?score=NAME).
    Margins are divided by it before they become win probabilities; scores and rankings stay as they are. `pairs` are
    those of a synthetic set; `encoders` and `t5_weights` are as in `LatentRewardModel.from_pretrained`.
    Raises ValueError, which names `option`, for a set of too few prompts.
    """
    stored = ours.read(model)
    loaded = LatentRewardModel.from_pretrained(
        model, backbone=backbone, device=device, dtype=dtype, encoders=encoders, t5_weights=t5_weights
    )
    item = set_for(made_set(on, lambda: loaded.backbone, pairs, seed), loaded)
    judge = LatentJudge(loaded, model, (loaded.config.noise_level,), (), batch_size)
    measured = judge_set(judge, item, seed, progress).result.at(judge.reference)
    before, after = measured.calibration, measured.scaled.calibration
    if after is None:
        raise DinaError(f"{option} {on.word}: {len(item.data)} pairs of too few prompts to fit and judge a temperature")
    temperature = loaded.config.temperature * measured.scaled.temperature
    config = replace(stored.config, temperature=temperature)
    main = ours.read(split_score(model)[0]).config.main  # the score that was asked for need not be it
    ours.write(folder, replace(stored, config=config.with_scales({}, main=main)))
    return CalibratedCopy(folder, temperature, len(item.data), loaded.config.noise_level, before, after)
