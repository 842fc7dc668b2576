"""What classifier-free guidance gains without learning, two passes a step: what distilled guidance is judged beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from dina_lrm.generators.load import loaded_generator
from dina_lrm.runs.files import write_json
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.synthetic.captions import true_values

GUIDED: Final = "guided.json"
_SCALES: Final = (1.0, 1.5, 2.0, 3.0, 4.5)
_BATCH: Final = 32


@dataclass(frozen=True)
class GuidedBase:
    """True values of the base model's pictures of a look, by the scale of guidance: one number a picture."""

    values: Mapping[float, Mapping[str, tuple[float, ...]]]

    def gain(self, scale: float, value: str) -> Interval:
        """A true value under guidance above that without, on the same prompts and noise; 95 % over the prompts."""
        without, guided = (np.array(self.values[each][value]) for each in (1.0, scale))
        return estimate([((guided - without)[None], 1)])

    def table(self) -> MarkdownTable:
        """A row for each scale above 1."""
        scales = [scale for scale in self.values if scale > 1]
        rows = [[f"{scale:g}", *(self.gain(scale, value).text("+.2f") for value in TRUTH)] for scale in scales]
        return MarkdownTable(("guidance of the base model", "true utility", *TRUTH[1:]), rows)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, {f"{scale:g}": {name: list(found) for name, found in each.items()}
                          for scale, each in self.values.items()})  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> GuidedBase | None:
        """Read it; None where there is no file."""
        if not path.is_file():
            return None
        found = read_json_object(path)
        return cls({float(scale): {name: tuple(each[name]) for name in TRUTH} for scale, each in found.items()})


@torch.no_grad()
def guided_base(config: AlignConfig, prompts: list[str], scales: tuple[float, ...] = _SCALES) -> GuidedBase:
    """Sample what a look of a run that has not learned shows, at some scales of guidance, and tell the truth of it."""
    generator = loaded_generator(config.generator, "cpu")
    levels = generator.levels(config.looks.sampling_steps or config.generator.sampling_steps)
    values = {}
    for scale in scales:
        pictures = []
        for start in range(0, len(prompts), _BATCH):
            some = prompts[start : start + _BATCH]
            noise = generator.noise([FIRST_SEED + start + row for row in range(len(some))])
            drawn = generator.denoise(noise, generator.encode_prompts(some), levels, guidance=scale)
            pictures.append(generator.pictures(drawn))
        truth = true_values(np.concatenate(pictures), prompts)
        values[scale] = {name: tuple(round(float(value), 4) for value in truth[name]) for name in TRUTH}
    return GuidedBase(values)
