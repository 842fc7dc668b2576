"""How often one update of an objective runs the generator and the reward, for each of its images, by its settings.

A new objective of `align` is a row of `_PASSES`; those of the forward process share one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig
from dina_lrm.alignment.algorithms.forward.objectives import FORWARD_OBJECTIVES
from dina_lrm.alignment.algorithms.forward.settings import ForwardConfig
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class UpdatePasses:
    """Passes of the generator and scores of the reward, for each image (of DPO: for each pair)."""

    sampled: float
    """Passes without gradient: rollouts, and what is compared with."""
    learned: float
    """Passes forward and back."""
    graphs: float = 1.0
    """Passes whose graphs are held at once."""
    scores: float = 0.0
    """Scores without gradient."""
    gradients: float = 0.0
    """Scores with the way back to what they read."""
    joined: bool = False
    """Whether the reward's graph stands beside those of the passes, or alone."""
    states: bool = False
    """Whether the reward has to read unfinished samples, which rewards of pixels cannot."""
    heads: float = 0.0
    """Scores of the reward's head alone, on features of a pass that is counted as the generator's."""


Count = Callable[[Any, Sequence[float]], UpdatePasses]


def passes_of(config: AlignConfig, levels: Sequence[float]) -> UpdatePasses:
    """Of a run whose sampler visits these noise levels. ValueError for an objective, or a way, that is not counted.

    Guided steps are two passes. Of LPO all pairs count as kept: at most that many are learned from. Of a KL that is
    gated as many images count as it may hold, and each auxiliary reward as a score of the reward. Step rewards of noisy
    states beside a KL are those of a reward without a LoRA, whose head reads the base model's pass. Text encoders, the
    LoRA's own products and what is drawn once before the run are left out.
    """
    if not is_counted(config):
        known = ", ".join(kind.algorithm for kind in _PASSES)
        raise DinaError(f"align {config.algorithm}: its passes are not counted; accepted: {known}")
    return _PASSES[type(config)](config, levels)


def is_counted(config: AlignConfig) -> bool:
    """Whether `passes_of` knows the objective."""
    return type(config) in _PASSES


def _guided(config: AlignConfig) -> int:
    return 1 if config.generator.guidance <= 1 else 2


def _refl(config: ReflConfig, levels: Sequence[float]) -> UpdatePasses:
    refl, steps = config.refl, len(levels) - 1
    count, held, mixed = refl.through_steps, refl.kl_weight > 0, refl.pretraining_weight > 0
    if refl.through == "drtune":
        return UpdatePasses(steps + count * held, count + mixed, gradients=1)
    if refl.through == "draft":
        learned = count + mixed + held * (count - 1)
        return UpdatePasses(steps - count + count * held, learned, learned, gradients=1, joined=True)
    prfl = refl.through == "prfl"
    last = min(refl.last, steps - 2) if prfl else refl.last
    before = _guided(config) * (refl.first + last) / 2
    return UpdatePasses(before + held, 1 + mixed, 1 + mixed, gradients=1, joined=True, states=prfl)


def _grpo(config: GrpoConfig, levels: Sequence[float]) -> UpdatePasses:
    steps, grpo, times = len(levels) - 1, config.grpo, _guided(config)
    window = steps - 1 if grpo.window == "every" else grpo.window_steps
    dense, noisy = grpo.credit == "dense", grpo.dense.reading == "noisy"
    in_pass = dense and noisy and grpo.kl_weight > 0
    held = 1.0 if in_pass or not grpo.kl_gate else grpo.kl_share
    base = held * window if grpo.kl_weight > 0 else 0.0
    states, ahead = (0.0, 0.0) if not dense else _state_scores(config, steps, window)
    heads = float(window) if in_pass else 0.0
    scores = 1 + states - heads + len(grpo.kl_gate)
    sampled, learned = times * (steps + base + ahead), times * window
    return UpdatePasses(sampled, learned, times, scores, heads=heads, states=dense and noisy)


def _state_scores(config: GrpoConfig, steps: int, window: int) -> tuple[float, float]:
    """Scores of the states of a window of steps, and passes of the generator to where they look ahead."""
    dense = config.grpo.dense
    if dense.reading != "look-ahead":
        return window + 1, 0
    starts = _window_starts(config, steps)
    scores = passes = 0
    for start in starts:
        for first in range(start, start + window + 1):
            left = steps - first
            ahead = min(dense.look_ahead or left, left)
            # The sample itself went from the last state to its end
            if first < start + window or ahead < left:
                scores, passes = scores + 1, passes + ahead - 1
    return scores / len(starts), passes / len(starts)


def _window_starts(config: GrpoConfig, steps: int) -> range:
    """Where the stochastic steps may begin; each place is as likely, or as long."""
    grpo = config.grpo
    if grpo.window == "random":
        return range(min(int(grpo.window_until * steps + 1e-9), steps - 1) - grpo.window_steps + 1)
    return range(max(steps - grpo.window_steps, 1)) if grpo.window == "sliding" else range(1)


def _lpo(config: LpoConfig, levels: Sequence[float]) -> UpdatePasses:
    lpo, steps, times = config.lpo, len(levels) - 1, _guided(config)
    trained = sum(level <= lpo.highest + 1e-6 for level in levels[: steps if lpo.last_step else steps - 1])
    judged = lpo.candidates * trained
    estimates = judged if lpo.scored == "clean" else 0
    base = trained if lpo.loss == "pair" else 0  # groups are compared with the steps that drew them
    sampled = times * (steps + lpo.last_step + base) + estimates
    return UpdatePasses(sampled, times * trained, times, scores=judged + 1, states=True)


def _dpo(config: DpoConfig, levels: Sequence[float]) -> UpdatePasses:
    return UpdatePasses(2, 2, 2)


def _distill(config: DistillConfig, levels: Sequence[float]) -> UpdatePasses:
    taught, times = len(levels) - 2, _guided(config)
    asked = sum(config.distill.guides(level) for level in levels[:taught]) * len(config.rewards)
    teacher = 2 if config.distill.guidance > 1 else 1
    # Without guidance the pass that learns is the one that goes on
    sampled = teacher * taught + times + (times * taught if times > 1 else 0)
    return UpdatePasses(sampled, taught, scores=len(config.rewards), gradients=asked)


def _craft(config: CraftConfig, levels: Sequence[float]) -> UpdatePasses:
    return UpdatePasses(0, 1)


def _forward(config: ForwardConfig, levels: Sequence[float]) -> UpdatePasses:
    forward, objective = config.forward, FORWARD_OBJECTIVES[type(config)]
    drawn = (len(levels) - 1) * (2 if forward.rollout_guidance > 1 else 1)
    learned = config.passes_per_image
    old = not (forward.old == "copy" and forward.updates == 1)
    guided = forward.kl_weight > 0 and forward.kl_guidance > 1
    base = 2 if guided else int(forward.kl_weight > 0 or objective.needs_reference)
    # Else one micro-batch an optimiser step tells how far the run has come
    told = forward.updates * config.micro_batch / config.batch_size
    apart = objective.compares_groups and config.micro_batch % forward.group > 0
    return UpdatePasses(drawn + learned * (old + base + apart) + (0 if base else told), learned, scores=1)


_PASSES: Final[dict[type[AlignConfig], Count]] = {
    ReflConfig: _refl,
    GrpoConfig: _grpo,
    LpoConfig: _lpo,
    DpoConfig: _dpo,
    DistillConfig: _distill,
    CraftConfig: _craft,
    **dict.fromkeys(FORWARD_OBJECTIVES, _forward),
}
