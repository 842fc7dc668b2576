"""A tuned generator against its base, from two names to the result.

plan = GeneratorPlan("synthetic", "runs/refl", judged_prompts("synthetic", seed=0, count=64), ("cnn", "clip"))
found = plan.run(Path("gain/samples"))
found.result.find("true utility").win_rate

Pictures are kept in the folder: the same plan goes on where it was stopped, and other rewards judge the same pictures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dina_lrm.data.prompt_sets import PromptSet
from dina_lrm.evaluation.environment import environment
from dina_lrm.evaluation.generators.checks import check_asked
from dina_lrm.evaluation.generators.comparison import GeneratorComparison, compare, compare_groups
from dina_lrm.evaluation.generators.sides import GeneratorPair, Sides
from dina_lrm.evaluation.generators.values import (
    MeasuredSide,
    measure_side,
    paired,
    rehearse,
    role_of,
    same_pictures,
)
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.samples import PicturePlan, StoredSamples
from dina_lrm.locate import absolute
from dina_lrm.precision import Precision
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.names import check_rewards, load_reward, reward_family
from dina_lrm.runs.progress import TitledProgress, silent
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class GeneratorPlan:
    """Two generators, prompts and judges, and all that decides pictures and numbers.

    `tuned` is a LoRA of `base` (the folder of a run, or a file or folder of one) or another generator. `rewards` are
    judges by name, latent ones only for a LoRA: another generator has latents of its own. `steps`, `guidance`,
    `resolution` (pixels), `prompt_length` (tokens) and `precision` are by default those of the run that made the LoRA.
    `seed` is that of pictures and bootstrap; `batch_size` pictures are drawn and judged at once and change no result.

    Raises:
        ValueError: counts below 1; a reward that is none, or named twice.
    """

    base: str
    tuned: str
    prompts: PromptSet
    rewards: tuple[str, ...] = ()
    images_per_prompt: int = 4
    seed: int = 0
    steps: int | None = None
    guidance: float | None = None
    resolution: int | None = None
    prompt_length: int | None = None
    lora_scale: float = 1.0
    batch_size: int = 16
    device: str = "cpu"
    precision: Precision | None = None

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("images_per_prompt", "batch_size", "steps")}
        check_asked(self.rewards, **counts)
        check_rewards(self.rewards)

    @property
    def pair(self) -> GeneratorPair:
        """Both generators, and how they are sampled."""
        asked = (self.steps, self.guidance, self.resolution, self.prompt_length, self.precision)
        return GeneratorPair(self.base, self.tuned, self.lora_scale, *asked)

    def run(self, folder: Path, progress: TitledProgress = silent, command: str = "") -> GeneratorEvaluation:
        """Draw what `folder` does not hold yet, measure both sides, compare; the result says that `command` made it.

        Raises ValueError for a LoRA that does not fit, judges that cannot judge, and a folder that holds pictures of
        other settings or weights; nothing is written before everything was tried on two pictures of noise.
        """
        began, pair = time.perf_counter(), self.pair
        steps = pair.settings().sampling_steps
        pictures = PicturePlan(self.prompts.prompts, self.images_per_prompt, steps, self.seed, self.batch_size)
        sides = Sides(pair, pictures, folder, self.device)
        rewards = [_reward(name, sides.base, pair) for name in self.rewards]
        rehearse(sides.base, pictures, rewards)
        kept, measured = sides.draw(progress), {}
        for name, stored in sides.stored.items():
            with progress(f"pictures judged, {name}") as report:
                measured[name] = measure_side(stored, pictures, rewards, report)
        result = self._compared(sides, pictures, rewards, measured, command, time.perf_counter() - began)
        return GeneratorEvaluation(result, pictures, sides.stored, measured, kept)

    def _compared(
        self,
        sides: Sides,
        pictures: PicturePlan,
        rewards: list[Reward],
        measured: Mapping[str, MeasuredSide],
        command: str,
        seconds: float,
    ) -> GeneratorComparison:
        pair = self.pair
        roles = {reward.name: role_of(reward, pair.run) for reward in rewards}
        values = paired(measured["base"], measured["tuned"], pictures, roles)
        notes = _notes(pair, pictures, measured, same_pictures(**sides.stored, plan=pictures))
        if sides.left_out:
            notes.append(
                f"{sides.left_out} modules of text encoders in the LoRA are left out: prompts are read as the base's."
            )
        return GeneratorComparison(
            base=self.base,
            tuned=self.tuned,
            prompt_set=self.prompts.name,
            prompts=len(pictures.prompts),
            images_per_prompt=pictures.images,
            seed=self.seed,
            settings=pair.described(),
            optimised=None if pair.run is None else pair.run.names,
            comparisons=tuple(compare(each, self.seed) for each in values),
            groups=compare_groups(values, self.prompts.groups, self.seed),
            notes=tuple(notes),
            environment=environment(),
            command=command,
            seconds=seconds,
        )


@dataclass(frozen=True, eq=False)
class GeneratorEvaluation:
    """The result of a plan, and the pictures of both sides ("base", "tuned") that it was measured on.

    `blocks_kept` counts the blocks of pictures that were there already.
    """

    result: GeneratorComparison
    pictures: PicturePlan
    stored: Mapping[str, StoredSamples]
    measured: Mapping[str, MeasuredSide]
    blocks_kept: int

    @property
    def without_pictures(self) -> str | None:
        """The side of which no picture at all is finite, so that nothing can be judged; None where there is none."""
        count = len(self.pictures.prompts) * self.pictures.images
        return next((name for name, side in self.measured.items() if side.not_finite == count), None)


def _reward(name: str, base: Generator, pair: GeneratorPair) -> Reward:
    """A judge; a latent one shares the generator's weights, and reads an optimised reward as the run did."""
    family, model = reward_family(name)
    if family != "latent":
        return load_reward(name)
    if pair.lora is None:
        told = "reads latents, and two generators have latents of their own"
        raise DinaError(f"rewards {name}: {told}; accepted: image:{model}")
    levels = {} if pair.run is None else {term.name: term.noise_level for term in pair.run.rewards}
    return load_reward(name, base, levels.get(name))


def _notes(pair: GeneratorPair, plan: PicturePlan, measured: Mapping[str, MeasuredSide], same: int) -> list[str]:
    notes, pictures, cut = [], len(plan.prompts) * plan.images, measured["base"].cut
    for name, side in measured.items():
        if side.not_finite:
            told = f"{side.not_finite} of {pictures} pictures of the {name} generator are not finite"
            notes.append(f"{told}: they are no pictures, have no scores, and count as missing.")
    if same:
        notes.append(f"{same} of {pictures} pictures are the same on both sides: there the tuning changes nothing.")
    if pair.run is not None and absolute(pair.run.generator.pretrained) != absolute(pair.base):
        notes.append(f"The LoRA was made for {pair.run.generator.pretrained}, and is judged on {pair.base}.")
    if pair.run is None:
        notes.append("No config.json of an alignment run lies beside a LoRA: what was optimised is not known.")
    if cut:
        notes.append(f"{cut // plan.images} of {len(plan.prompts)} prompts are longer than the text encoders read.")
    again = len(plan.prompts) - len(set(plan.prompts))
    if again:
        notes.append(f"{again} prompts stand in the set again; the bootstrap draws the pictures of a text together.")
    return notes
