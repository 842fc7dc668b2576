"""Estimates of the jobs that sample a whole generator: its encoders stay beside it, and a reward judges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import torch

from dina_lrm.backbones.anatomy import anatomy_of
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.locate import BUNDLED_LORAS
from dina_lrm.precision import compute_dtype
from dina_lrm.profiling.estimates.estimate import JobEstimate, Phase
from dina_lrm.profiling.estimates.generator import GeneratorSize, generator_size

_GUIDED: Final = 2
"""States that go through the model for each sample where there is guidance."""


@dataclass(frozen=True)
class Sampling:
    """What sampling takes: `generators` of these stay at once, `batch_size` samples of one are drawn together."""

    settings: GeneratorSettings
    batch_size: int
    device: str = "cpu"
    rewards: tuple[str, ...] = ()
    generators: int = 1
    job: str = "sample"

    def estimate(self) -> JobEstimate:
        """By headers and configurations. Raises as loading the generator does; of rewards nothing is counted."""
        size = whole_generator(self.settings, self.device)
        loads = size.loads() * self.generators
        pixels = self.settings.resolution**2
        states = self.batch_size * (_GUIDED if self.settings.guidance > 1 else 1) * size.state_bytes(pixels)
        held = sum(load.bytes for load in loads)
        return JobEstimate(
            job=self.job,
            device=self.device,
            loads=loads,
            phases=(
                Phase("sampling", held, states),
                Phase("decoding pictures", held, size.picture_bytes(pixels, self.batch_size, self.device)),
            ),
            uncounted=tuple(f"the reward {name}" for name in self.rewards),
            ways=tuple(self._ways(size)),
        )

    def _ways(self, size: GeneratorSize) -> list[tuple[str, Callable[[], JobEstimate]]]:
        wide = size.dtype == torch.float32
        narrow = replace(self, settings=replace(self.settings, precision="bf16"))
        found = [("--dtype bfloat16", narrow)] if wide else []
        if self.batch_size > 1:
            found.append(("--batch-size 1", replace(self, batch_size=1)))
            found += [("--dtype bfloat16 --batch-size 1", replace(narrow, batch_size=1))] if wide else []
        return [(option, way.estimate) for option, way in found]


def whole_generator(settings: GeneratorSettings, device: str) -> GeneratorSize:
    """A generator with all its blocks, as it is sampled. Raises ValueError and OSError as loading it does."""
    name = BUNDLED_LORAS.get(settings.pretrained, (settings.pretrained,))[0]
    anatomy = anatomy_of(name)
    whole = replace(anatomy.backbone(name, anatomy.blocks), prompt_length=settings.prompt_length)
    return generator_size(whole, compute_dtype(settings.precision, device))
