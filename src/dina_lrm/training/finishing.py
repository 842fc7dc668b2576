"""The end of a run: averaged weights, score statistics, the folder of the finished reward model."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import torch

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.reward_model.config import RewardModelConfig, ScoreScale
from dina_lrm.reward_model.formats.ours import backbone_weights
from dina_lrm.reward_model.formats.stored import copy_strictly
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.training.randomness import mixed_seed
from dina_lrm.training.run_folder import RunRecord
from dina_lrm.training.step import Stepper
from dina_lrm.training.validation import ScoreValidation, Validation, validate

SAMPLE = 2048
"""Training comparisons that the score statistics are taken from where there is no validation set."""
_NAMED = 20
"""Most names of sources that a model's card lists."""


def finished_model(
    stepper: Stepper,
    data: EncodedComparisons,
    validation: EncodedComparisons | None,
    record: RunRecord,
    folder: Path,
    write: bool,
) -> tuple[LatentRewardModel, Validation]:
    """Finish the stepper's model, save it to `folder` when `write`, and return what it measures.

    That is done in place, but where processes hold its weights together and each gets all of them. Measured is on the
    validation set, or on a sample of what was trained on where there is none.
    The weights become the moving average, the mean and standard deviation of the scores are recorded for the z score,
    and the model is frozen, in eval mode, with its LoRA merged: exactly what `from_pretrained(folder)` gives. With
    linear layers in 8 bits the LoRA stays apart, and what is measured is the model in 8 bits.
    """
    model, config = stepper.finish(), stepper.config
    model.eval().requires_grad_(False)
    measured_on = validation if validation is not None else _sample(data, config.seed)
    with stepper.computing():
        found = validate(model, stepper.objective, measured_on, config.batch_size, weights=config.judged_scores)
    prompts = len(measured_on.pairs.prompt.unique())
    facts = _notes(stepper, record, found, validation is not None, prompts)
    notes = {**model.config.notes, "training": {**facts, "sources": sources_of(data)}}
    model.config = replace(model.config, notes=notes)
    if found.pairs:  # else raw scores stay as they are: a model that was trained is written, whatever could be measured
        model.config = model.config.with_scales(_scales(model.config, found))
    if config.adaptation.random_backbone and not model.config.own_backbone:
        model = _with_own_backbone(model)
    if write:
        model.save_pretrained(folder)
    if model.config.lora is not None and not model.backbone.shared and config.compute.linears == "full":
        model.backbone.merge_lora(keep_base=False)
    return model, found


def _scales(config: RewardModelConfig, found: Validation) -> dict[str, ScoreScale]:
    """The mean and the deviation of every score, its temperature as it was."""
    measured = {name: (score.score_mean, score.score_std) for name, score in found.scores.items()}
    measured[config.main] = (found.score_mean, found.score_std)
    return {
        name: ScoreScale(mean, std, config.scales[name].temperature)
        for name, (mean, std) in measured.items()
        if math.isfinite(mean)
    }


def _with_own_backbone(model: LatentRewardModel) -> LatentRewardModel:
    """A model whose backbone weights, LoRA merged, are stored with it: random ones are found nowhere else."""
    if model.config.lora is not None:
        model.backbone.merge_lora(keep_base=False)
    config = replace(model.config, lora=None, own_backbone=True)
    own = LatentRewardModel.build(config, None, model.device, model.backbone.dtype)
    merged = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in backbone_weights(model.backbone).items()
        if ".lora_" not in name
    }
    copy_strictly("backbone", backbone_weights(own.backbone), merged)
    copy_strictly("head", own.head.state_dict(), model.head.state_dict())
    own.requires_grad_(False)
    return own.eval()


def _sample(data: EncodedComparisons, seed: int) -> EncodedComparisons:
    if len(data) <= SAMPLE:
        return data
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(mixed_seed(seed, SAMPLE)))
    return data.subset(order[:SAMPLE].sort().values)


def sources_of(data: EncodedComparisons) -> list[str]:
    """Names of where comparisons come from, the most frequent first; what does not say it is left out."""
    counted = Counter(name for name in data.pairs.source if name is not None)
    return [name for name, _ in counted.most_common(_NAMED)]


def _notes(stepper: Stepper, record: RunRecord, found: Validation, held_out: bool, prompts: int) -> dict[str, object]:
    config = stepper.config
    by_score = {name: _finite(score) for name, score in found.scores.items()}
    return {
        "recipe": config.name,
        "seed": config.seed,
        "steps": stepper.total_steps,
        "batch_size": config.batch_size,
        "pairs": record.pairs,
        "data": record.data_hash,
        "random_backbone": config.adaptation.random_backbone,
        "averaged": config.ema.enabled,
        "measured_on": "validation" if held_out else "training",
        "measured_prompts": prompts,
        # JSON has no NaN: what could not be measured is not there
        "measured": _finite(found),
        **({"measured_by_score": by_score} if by_score else {}),
    }


def _finite(found: ScoreValidation) -> dict[str, float]:
    """The numbers of a measurement that are numbers."""
    names = [field.name for field in fields(ScoreValidation)]
    return {name: getattr(found, name) for name in names if math.isfinite(getattr(found, name))}
