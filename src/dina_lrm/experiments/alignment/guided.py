"""What classifier-free guidance gains without learning, two passes a step: what distilled guidance is judged beside."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.monitor.looks import FIRST_SEED
from dina_lrm.evaluation.interval import Interval
from dina_lrm.experiments.alignment.cells import TRUTH
from dina_lrm.experiments.estimates import estimate
from dina_lrm.experiments.page import MarkdownTable
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.load import loaded_generator
from dina_lrm.runs.files import write_json
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.synthetic.captions import true_values
from dina_lrm.typed import from_plain

GUIDED: Final = "guided.json"
_DRAWN: Final = ((10, 1.0), (10, 2.0), (10, 3.0), (10, 4.5), (5, 1.5), (5, 2.0), (5, 3.0))
"""Steps and scale of guidance; the first is what the others are set against."""
_BATCH: Final = 32


@dataclass(frozen=True)
class GuidedLook:
    """True values of the base model's pictures of a look, one number a picture."""

    steps: int
    guidance: float
    truth: dict[str, tuple[float, ...]]

    @property
    def passes(self) -> int:
        """Evaluations of the model that a picture takes."""
        return self.steps * (2 if self.guidance > 1 else 1)


@dataclass(frozen=True)
class GuidedBase:
    """Looks at the base model at some scales of guidance, the first without."""

    looks: tuple[GuidedLook, ...]

    def gain(self, look: GuidedLook, value: str) -> Interval:
        """A true value above that of the first look, on the same prompts and noise; 95 % over the prompts."""
        gained = np.array(look.truth[value]) - np.array(self.looks[0].truth[value])
        return estimate([(gained[None], 1)])

    def table(self) -> MarkdownTable:
        """A row for each look but the first."""
        rows = [
            [str(look.steps), f"{look.guidance:g}", str(look.passes)]
            + [self.gain(look, value).text("+.2f") for value in TRUTH]
            for look in self.looks[1:]
        ]
        heads = ("steps of the base model", "guidance", "passes a picture", "true utility", *TRUTH[1:])
        return MarkdownTable(heads, rows)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> GuidedBase | None:
        """Read it; None where there is no file."""
        return from_plain(cls, read_json_object(path), str(path)) if path.is_file() else None


@torch.no_grad()
def guided_base(config: AlignConfig, prompts: list[str], drawn: tuple[tuple[int, float], ...] = _DRAWN) -> GuidedBase:
    """Sample what a look of a run that has not learned shows, under guidance, and tell the truth of it."""
    generator = loaded_generator(config.generator, "cpu")
    return GuidedBase(tuple(_look(generator, prompts, steps, guidance) for steps, guidance in drawn))


def _look(generator: Generator, prompts: list[str], steps: int, guidance: float) -> GuidedLook:
    levels, pictures = generator.levels(steps), []
    for start in range(0, len(prompts), _BATCH):
        some = prompts[start : start + _BATCH]
        noise = generator.noise([FIRST_SEED + start + row for row in range(len(some))])
        latents = generator.denoise(noise, generator.encode_prompts(some), levels, guidance=guidance)
        pictures.append(generator.pictures(latents))
    truth = true_values(np.concatenate(pictures), prompts)
    return GuidedLook(steps, guidance, {name: tuple(round(float(value), 4) for value in truth[name]) for name in TRUTH})
