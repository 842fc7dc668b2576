"""The paper's ablations of architecture (Table 5, appendix C.1) and of what lies beyond it, on SD3.5-Medium.

All are `paper-sd35m` with one thing changed; accuracies are given as there. docs/results.md has each in miniature.
"""

from __future__ import annotations

from dataclasses import replace

from dina_lrm.recipes.paper import sd35m
from dina_lrm.training.config import (
    AdaptationSettings,
    NoiseLevelSettings,
    ObjectiveSettings,
    OptimizerSettings,
    PreferenceSettings,
    TeacherSettings,
    TrainConfig,
)


def sd35m_depth_8() -> TrainConfig:
    """Ablation: the first 8 blocks.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-depth-8 --data CACHE --out runs/depth-8`

    Expected: 58.8 / 74.4 / 72.3 / 66.8, mean 68.1.
    """
    return _depth(8, (3, 6, 8))


def sd35m_depth_16() -> TrainConfig:
    """Ablation: the first 16 blocks.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-depth-16 --data CACHE --out runs/depth-16`

    Expected: 61.1 / 82.6 / 75.2 / 68.5, mean 71.9.
    """
    return _depth(16, (4, 8, 12, 16))


def sd35m_depth_20() -> TrainConfig:
    """Ablation: the first 20 blocks.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-depth-20 --data CACHE --out runs/depth-20`

    Expected: 61.9 / 83.4 / 75.4 / 70.3, mean 72.8. The paper does not say which blocks are tapped at other depths than
    12; here it is every fourth.
    """
    return _depth(20, (4, 8, 12, 16, 20))


def sd35m_no_text() -> TrainConfig:
    """Ablation: the head does not read the text stream.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-no-text --data CACHE --out runs/no-text`

    Expected: below `paper-sd35m`; the paper calls text features critical and gives no number.
    """
    base = sd35m()
    head, backbone = replace(base.model.head, use_text=False), replace(base.model.backbone, text_taps=())
    model = replace(base.model, backbone=backbone, head=head)
    return replace(base, name="paper-sd35m-no-text", model=model)


def sd35m_one_tap() -> TrainConfig:
    """Ablation: features of the last block alone.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-one-tap --data CACHE --out runs/one-tap`

    Expected: below `paper-sd35m`; the paper calls features of several levels critical and gives no number.
    """
    return replace(_depth(12, (12,)), name="paper-sd35m-one-tap")


def sd35m_full() -> TrainConfig:
    """Ablation: all weights of the 12 blocks learn.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-full --data CACHE --out runs/full`

    Expected: not in the paper, which compares LoRA with a frozen backbone only.
    """
    rates = OptimizerSettings(lr=1e-5, head_lr=5e-5, weight_decay=0.01, clip_norm=1.0)
    return replace(sd35m(), name="paper-sd35m-full", adaptation=AdaptationSettings(kind="full"), optimizer=rates)


def sd35m_bradley_terry() -> TrainConfig:
    """Ablation: the logistic likelihood, alike at every noise level, on the same head.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-bradley-terry --data CACHE --out runs/bt`

    Expected: not in the paper; in miniature as accurate, and better calibrated.
    """
    return _objective("paper-sd35m-bradley-terry", ObjectiveSettings(PreferenceSettings("bradley-terry")))


def sd35m_nll() -> TrainConfig:
    """Beyond the paper: the negative log-likelihood of the same noise-calibrated model.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-nll --data CACHE --out runs/nll`

    Expected: in miniature as accurate, with probabilities that can be believed; at this scale not measured.
    """
    return _objective("paper-sd35m-nll", ObjectiveSettings(PreferenceSettings("paper", loss="nll")))


def sd35m_two_levels() -> TrainConfig:
    """Beyond the paper: the head learns to read two noise levels at once, for half an epoch.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-two-levels --data CACHE --out runs/two-levels`

    Expected: docs/results.md has it in miniature; at this scale not measured.
    """
    levels = NoiseLevelSettings(together=2)
    config = _objective("paper-sd35m-two-levels", ObjectiveSettings(noise_levels=levels))
    return replace(config, epochs=0.5)


def sd35m_best() -> TrainConfig:
    """Beyond the paper: the winners in miniature at this scale, the teacher being the model of 20 blocks.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-best --data CACHE --out runs/best`

    Train `paper-sd35m-depth-20` into runs/depth-20 first, or name another teacher on the same generator with
    --objective.teacher.name. Expected: docs/results.md has it in miniature; at this scale not measured.
    """
    teacher = TeacherSettings("runs/depth-20/model", weight=0.5)
    objective = ObjectiveSettings(PreferenceSettings("paper", loss="nll"), teacher=teacher)
    return _objective("paper-sd35m-best", objective)


def _depth(depth: int, taps: tuple[int, ...]) -> TrainConfig:
    base = sd35m()
    backbone = replace(base.model.backbone, depth=depth, visual_taps=taps, text_taps=taps)
    return replace(base, name=f"paper-sd35m-depth-{depth}", model=replace(base.model, backbone=backbone))


def _objective(name: str, objective: ObjectiveSettings) -> TrainConfig:
    return replace(sd35m(), name=name, objective=objective)
