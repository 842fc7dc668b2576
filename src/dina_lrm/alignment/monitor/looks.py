"""Looks at the generator while it learns: samples of its moving average, always of the same prompts and seeds."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.monitor.alarm import AlarmSettings, Finding, alarms
from dina_lrm.alignment.monitor.monitor import Monitor
from dina_lrm.alignment.monitor.pair_calibration import PairJudge, overconfidence
from dina_lrm.alignment.monitor.records import MONITOR_FILE, Record, best_record
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.pictures.measures import Images
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.names import load_reward
from dina_lrm.runs.files import clear_litter, replaced_when_complete
from dina_lrm.sampling.objective import Objective
from dina_lrm.typed import DinaError

SAMPLES: str = "samples"
PROXY: str = "objective"
"""How records call the weighted sum that is optimised."""
FIRST_SEED = 1_000_000
"""Of the noise of the first picture of every look; the others follow."""
_MIDDLE = 0.5


@dataclass(frozen=True)
class Look:
    """Samples at a step: uint8 (n, height, width, 3), and what was found of them."""

    step: int
    images: Images
    prompts: tuple[str, ...]
    record: Record
    alarms: tuple[Finding, ...]
    """The alarms that this look set off."""

    def means(self) -> dict[str, float]:
        """Return means of judges, of the truth where it is known, how much surer than right the win rates are, and what
        the trainer added, but for what is missing.
        """
        means = {name: summary.mean for name, summary in self.record.judges.items()}
        truth = {f"true {name}": summary.mean for name, summary in self.record.truth.items()}
        said = {**means, **truth, **self._overconfidence(), **self.record.extra}
        return {name: value for name, value in said.items() if value is not None}

    def _overconfidence(self) -> dict[str, float]:
        learned_from = next(reversed(self.record.win_rates.values()), {})
        return {
            f"overconfidence ({judge})": gap[0]
            for judge, found in learned_from.items()
            if (gap := overconfidence(found)) is not None
        }


@dataclass(frozen=True)
class _Sampled:
    latents: Latents
    noise: Latents
    conditioning: Conditioning
    prompts: tuple[str, ...]


class LostLooksWarning(UserWarning):
    """Lines of a run's `monitor.jsonl` are gone."""


class Looks:
    """Samples, judges and records; a file `samples/step-N.npz` and a line of `monitor.jsonl` for each look.

    Raises:
        ValueError: a golden reward that takes part in the objective or shares anything with it, an unknown judge, one
            that reads latents; no prompts.
    """

    def __init__(
        self,
        config: AlignConfig,
        generator: Generator,
        objective: Objective,
        prompts: Sequence[str],
        folder: Path,
        resumed_step: int | None,
        watch: Callable[[], Mapping[str, float]] = dict,
        witnesses: Sequence[Reward] = (),
    ) -> None:
        if not prompts:
            raise DinaError("looks: got no prompts; accepted: at least one")
        self._config, self._generator, self._objective, self._folder = config, generator, objective, folder
        self._resumed_step, self._watch = resumed_step, watch
        self._sampling_steps = config.looks.sampling_steps or config.generator.sampling_steps
        self._prompts = tuple(prompt for prompt in prompts for _ in range(config.looks.images))
        judges, self._settings = _judges(config), AlarmSettings(window=config.looks.window)
        used = (*objective.rewards, *witnesses)  # whatever decides on what is learned cannot judge it
        golden, pairs = config.looks.golden, _pairs(config, objective)
        self._monitor = Monitor(folder, judges, PROXY, golden, used, resumed_step, config.micro_batch, pairs)

    def begin(self) -> None:
        """Make the folder of samples; only once the run's config.json says whose folder this is."""
        (self._folder / SAMPLES).mkdir(exist_ok=True)
        clear_litter(self._folder / SAMPLES)
        self._miss_records()

    def _miss_records(self) -> None:
        """Say of which looks before the step of the resumption the samples are there and the records are not."""
        known = {record.step for record in self._monitor.records}
        stored = (re.fullmatch(r"step-(\d+)\.npz", file.name) for file in (self._folder / SAMPLES).iterdir())
        steps = sorted(int(name[1]) for name in stored if name)
        lost = [step for step in steps if step < (self._resumed_step or 0) and step not in known]
        if lost:
            told = f"no records of the looks at steps {', '.join(map(str, lost))}, whose samples are in {SAMPLES}"
            warnings.warn(
                f"{self._folder / MONITOR_FILE}: {told}: report and card go without them",
                LostLooksWarning,
                stacklevel=2,
            )

    def last_good(self) -> Record:
        """What the golden reward liked best of all looks before what the newest one gave the alarm for."""
        records = self._monitor.records
        found = self._alarms(records[-1].step)
        return best_record(records, min((finding.since for finding in found), default=None))

    @torch.no_grad()
    def take(self, step: int) -> Look:
        """Sample with the generator as it is, judge, record; whoever calls has swapped in the average."""
        images, scores, drift = [], [], []
        for sampled in self._samples():
            latents, conditioning = sampled.latents, sampled.conditioning
            found = self._objective(latents, sampled.prompts, conditioning=conditioning)
            scores.append({PROXY: found.total, **found.parts})
            drift.append(self._drift(latents, sampled.noise, conditioning))
            images.append(self._generator.pictures(latents))
        seen = np.concatenate(images)
        with replaced_when_complete(self._folder / SAMPLES / f"step-{step}.npz") as temporary:
            np.savez_compressed(temporary, images=seen, prompts=np.array(self._prompts))
        named = {name: torch.cat([row[name] for row in scores]).cpu() for name in scores[0]}
        extra = {"drift": float(torch.cat(drift).mean()), **self._watch()}
        record = self._monitor.observe(step, seen, self._prompts, named, extra)
        self._check_golden(record)
        return Look(step, seen, self._prompts, record, self._alarms(step))

    def _check_golden(self, record: Record) -> None:
        golden = self._config.looks.golden
        if golden is not None and record.judges[golden].counted == 0:
            raise DinaError(f"looks.golden: {golden!r} gave no score for any of {record.pictures} pictures")

    @torch.no_grad()
    def scales(self) -> dict[str, tuple[float, float]]:
        """Mean and deviation of each reward over the samples of a look, with the generator as it is."""
        rows = [
            self._objective(sampled.latents, sampled.prompts, conditioning=sampled.conditioning).parts
            for sampled in self._samples()
        ]
        together = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
        return {name: (values.mean().item(), values.std().item()) for name, values in together.items()}

    def _samples(self) -> Iterator[_Sampled]:
        size, levels = self._config.micro_batch, self._generator.levels(self._sampling_steps)
        for start in range(0, len(self._prompts), size):
            prompts = self._prompts[start : start + size]
            noise = self._generator.noise([FIRST_SEED + start + row for row in range(len(prompts))])
            conditioning = self._generator.encode_prompts(prompts)
            yield _Sampled(self._generator.denoise(noise, conditioning, levels), noise, conditioning, prompts)

    def _drift(self, latents: Latents, noise: Latents, conditioning: Conditioning) -> torch.Tensor:
        """Mean squared distance of the velocity to the base model's, half way; the KL of a step is proportional."""
        level = torch.tensor(_MIDDLE)
        x = self._generator.process.add_noise(latents, noise, level)
        own = self._generator.velocity(x, level, conditioning)
        with self._generator.reference():
            base = self._generator.velocity(x, level, conditioning)
        return (own - base).square().flatten(1).mean(1)

    def _alarms(self, step: int) -> tuple[Finding, ...]:
        return tuple(each for each in alarms(self._monitor.history(), self._settings) if each.step == step)


def _pairs(config: AlignConfig, objective: Objective) -> PairJudge | None:
    """What compares the win rates that a run learns from; None where it does not."""
    if not config.win_rates:
        return None
    return PairJudge(objective.likelihoods("win rates"), objective.weights, PROXY)


def _judges(config: AlignConfig) -> dict[str, Reward]:
    looks = config.looks
    names = [*([looks.golden] if looks.golden else []), *looks.judges]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DinaError(f"looks.judges: {', '.join(sorted(twice))} is there twice; accepted: each judge once")
    return {name: load_reward(name) for name in names}
