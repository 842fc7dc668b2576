"""Measures of two generators' pictures: judges, oracle and measures, one value a picture, side beside side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from dina_lrm.evaluation.generators.comparison import MeasureKind, PairedValues, Role
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.samples import PicturePlan, Samples, StoredSamples
from dina_lrm.pictures.measures import MEASURES, diversity
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.judged import judged
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.sampling.tuned import TuningRun
from dina_lrm.synthetic.captions import true_values
from dina_lrm.synthetic.composition import composition

DIVERSITY = "diversity"
Values = dict[str, Float[np.ndarray, "..."]]


@dataclass(frozen=True)
class MeasuredSide:
    """Values of one side by kind and name; those of diversity are one a prompt, all others one a picture."""

    values: dict[MeasureKind, Values]
    cut: int
    """Pictures whose prompt the generator did not read whole."""
    not_finite: int
    """What the generator gave instead of pictures, without any value here."""


def measure_side(
    samples: StoredSamples,
    plan: PicturePlan,
    rewards: Sequence[Reward],
    progress: ReportProgress,
) -> MeasuredSide:
    """Measure all blocks of a side; `progress` is told the pictures after every block, and before every judge of one.

    Raises ValueError for a judge that answers with another number than asked.
    """
    parts, total, cut, not_finite = [], len(plan.prompts) * plan.images, 0, 0
    for block in plan.blocks():
        drawn = samples.read(block)
        parts.append(_block(drawn, block, plan, _told(rewards, block.start * plan.images, total, progress)))
        cut += drawn.cut
        not_finite += int((~drawn.finite).sum())
        progress(block.stop * plan.images, total)
    kinds = parts[0].keys()
    return MeasuredSide({kind: _joined([part[kind] for part in parts]) for kind in kinds}, cut, not_finite)


def _told(rewards: Sequence[Reward], done: int, total: int, progress: ReportProgress) -> Iterator[Reward]:
    for reward in rewards:
        progress(done, total)
        yield reward


def rehearse(generator: Generator, plan: PicturePlan, rewards: Sequence[Reward]) -> None:
    """Judge two pictures of noise by everything. Raises what it would raise after all pictures were drawn."""
    rng, latents = np.random.default_rng(0), generator.noise([0, 1])
    side = generator.resolution
    images = rng.integers(256, size=(2, side, side, 3), dtype=np.uint8)
    drawn = Samples(images, latents.cpu().numpy(), np.ones(2, bool))
    _block(drawn, range(1), replace(plan, images=2), rewards)


def paired(base: MeasuredSide, tuned: MeasuredSide, plan: PicturePlan, roles: dict[str, Role]) -> list[PairedValues]:
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
    pairs = ((base.read(block), tuned.read(block)) for block in plan.blocks())
    return sum(
        int(((one.images == other.images).all(axis=(1, 2, 3)) & one.finite & other.finite).sum())
        for one, other in pairs
    )


def role_of(reward: Reward, run: TuningRun | None) -> Role:
    """What a reward was in the tuning."""
    if run is None:
        return "unknown"
    return "optimised" if run.optimised(reward) else "held out"


def _block(drawn: Samples, block: range, plan: PicturePlan, rewards: Iterable[Reward]) -> dict[MeasureKind, Values]:
    prompts = [plan.prompts[number] for number in block for _ in range(plan.images)]
    # By number, not by text: a prompt that a set holds twice has pictures of its own each time
    numbers = np.array([str(number) for number in block for _ in range(plan.images)])[drawn.finite]
    spread = diversity(drawn.images[drawn.finite], numbers.tolist()) if drawn.finite.any() else {}
    found: dict[MeasureKind, Values] = {
        "reward": {reward.name: _scores(reward, drawn, prompts, plan.batch_size) for reward in rewards},
        "truth": {f"true {name}": values for name, values in true_values(drawn.images, prompts).items()},
        "attribute": dict(composition(drawn.images, prompts)),
        "measure": {**{name: np.asarray(measure(drawn.images), float) for name, measure in MEASURES.items()}},
    }
    known = {
        kind: {name: np.where(drawn.finite, values, np.nan) for name, values in named.items()}
        for kind, named in found.items()
    }
    known["measure"][DIVERSITY] = np.array([spread.get(str(number), np.nan) for number in block])
    return known


def _scores(reward: Reward, drawn: Samples, prompts: list[str], batch_size: int) -> Float[np.ndarray, " pictures"]:
    inputs = np.nan_to_num(drawn.latents, posinf=0, neginf=0) if reward.kind == "latent" else drawn.images
    return judged(reward, inputs, prompts, batch_size)


def _joined(parts: Sequence[Values]) -> Values:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
