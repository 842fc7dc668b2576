"""What is measured of two generators' pictures: judges, oracle and measures, one value a picture, side beside side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dina_lrm.alignment.measures import MEASURES, diversity
from dina_lrm.alignment.samples import PicturePlan, Samples, StoredSamples
from dina_lrm.alignment.tuned import TuningRun
from dina_lrm.evaluation.generators import MeasureKind, PairedValues, Role
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.judged import judged
from dina_lrm.synthetic.captions import true_values
from dina_lrm.synthetic.composition import composition

DIVERSITY = "diversity"
Values = dict[str, Float[np.ndarray, "..."]]


@dataclass(frozen=True)
class Measured:
    """Values of one side by kind and name; those of diversity are one a prompt, all others one a picture."""

    values: dict[MeasureKind, Values]
    cut: int
    """Pictures whose prompt the generator did not read whole."""


def measure_side(
    samples: StoredSamples,
    plan: PicturePlan,
    rewards: Sequence[Reward],
    progress: Callable[[int, int], None],
) -> Measured:
    """Measure all blocks of a side. Raises ValueError for a judge that answers with another number than asked."""
    blocks, parts, cut = list(plan.blocks()), [], 0
    for number, block in enumerate(blocks, start=1):
        drawn = samples.read(block)
        parts.append(_block(drawn, block, plan, rewards))
        cut += drawn.cut
        progress(number, len(blocks))
    kinds = parts[0].keys()
    return Measured({kind: _joined([part[kind] for part in parts]) for kind in kinds}, cut)


def paired(base: Measured, tuned: Measured, plan: PicturePlan, roles: dict[str, Role]) -> list[PairedValues]:
    """Both sides together; what has no value at all, such as the truth of prompts of another world, is left out."""
    numbers = {prompt: number for number, prompt in reversed(list(enumerate(plan.prompts)))}
    of_prompt = np.array([numbers[prompt] for prompt in plan.prompts])
    of_picture = np.repeat(of_prompt, plan.images)
    return [
        PairedValues(
            name, kind, values, tuned.values[kind][name],
            of_prompt if name == DIVERSITY else of_picture, roles.get(name, ""),
        )
        for kind, named in base.values.items()
        for name, values in named.items()
        if kind == "reward" or np.isfinite(values).any() or np.isfinite(tuned.values[kind][name]).any()
    ]  # fmt: skip


def same_pictures(base: StoredSamples, tuned: StoredSamples, plan: PicturePlan) -> int:
    """How many pictures are the same on both sides, to the last grey level."""
    pairs = ((base.read(block).images, tuned.read(block).images) for block in plan.blocks())
    return sum(int((one == other).all(axis=(1, 2, 3)).sum()) for one, other in pairs)


def role_of(reward: Reward, run: TuningRun | None) -> Role:
    """What a reward was in the tuning."""
    if run is None:
        return "unknown"
    return "optimised" if run.optimised(reward) else "held out"


def _block(drawn: Samples, block: range, plan: PicturePlan, rewards: Sequence[Reward]) -> dict[MeasureKind, Values]:
    prompts = [plan.prompts[number] for number in block for _ in range(plan.images)]
    # By number, not by text: a prompt that a set holds twice has pictures of its own each time
    spread = diversity(drawn.images, [str(number) for number in block for _ in range(plan.images)])
    return {
        "reward": {reward.name: _scores(reward, drawn, prompts, plan.batch_size) for reward in rewards},
        "truth": {f"true {name}": values for name, values in true_values(drawn.images, prompts).items()},
        "attribute": dict(composition(drawn.images, prompts)),
        "measure": {
            **{name: np.asarray(measure(drawn.images), float) for name, measure in MEASURES.items()},
            DIVERSITY: np.array([spread.get(str(number), np.nan) for number in block]),
        },
    }


def _scores(reward: Reward, drawn: Samples, prompts: list[str], batch_size: int) -> Float[np.ndarray, " pictures"]:
    return judged(reward, drawn.latents if reward.kind == "latent" else drawn.images, prompts, batch_size)


def _joined(parts: Sequence[Values]) -> Values:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
