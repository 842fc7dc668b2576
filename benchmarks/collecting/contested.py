"""Pictures of the bundled world by which a taste is learnt: what a model reads of them, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from scipy.stats import spearmanr

from dina_lrm import LatentRewardModel
from dina_lrm.collecting.choice.reading import Reading, read_pictures
from dina_lrm.synthetic.draws import Draw, FlawRates, draw, render_draws
from dina_lrm.synthetic.scene import Prompt, sample_prompt, seen
from dina_lrm.synthetic.utility import Annotator, utility_parts

IMAGES: Final = 4
"""Pictures of a prompt."""
_WRONG: Final = FlawRates(mismatch=1.0, defect=0.0)
_ILL_MADE: Final = FlawRates(mismatch=0.0, defect=1.0, severity=(0.2, 0.6))
KINDS: Final = ("contested", "plain")
"""Each picture has one flaw, of what it shows or, not too strong, of how it is made, so that tastes differ; or the
world's own mixture, on which they mostly agree."""


@dataclass(frozen=True)
class World:
    """Pictures and their prompts; `utility` is what somebody's taste makes of them."""

    images: list[Image.Image]
    prompts: list[str]
    utility: np.ndarray

    def read(self, model: LatentRewardModel, seed: int) -> Reading:
        """What a model reads of them."""
        return read_pictures(model, self.images, self.prompts, seed, batch_size=32)

    def write(self, folder: Path, rows: range) -> None:
        """Some of them as files, each with its prompt beside it, by their rows."""
        folder.mkdir(parents=True)
        for row in rows:
            self.images[row].save(folder / f"{row:05d}.png")
            (folder / f"{row:05d}.txt").write_text(self.prompts[row])


def world(kind: str, prompts: int, person: Annotator, seed: int) -> World:
    """So many prompts with their pictures, those of a prompt next to each other."""
    rng = np.random.default_rng([seed, 31])
    asked = [sample_prompt(rng, seen) for _ in range(prompts)]
    draws = [_drawn(kind, prompt, rng) for prompt in asked for _ in range(IMAGES)]
    images = [Image.fromarray(one) for one in render_draws(draws, rng)]
    return World(images, [one.prompt.caption() for one in draws], person.utility(utility_parts(draws)))


def _drawn(kind: str, prompt: Prompt, rng: np.random.Generator) -> Draw:
    if kind == "plain":
        return draw(prompt, FlawRates(), rng)
    return draw(prompt, _WRONG if rng.random() < 0.5 else _ILL_MADE, rng)


def correlations(scores: np.ndarray, utility: np.ndarray) -> tuple[float, float]:
    """Rank correlation of scores with utility over all pictures, and the mean of those within each prompt.

    A prompt whose pictures are all worth the same, or score the same, has none and is left out of the mean.
    """
    groups = zip(scores.reshape(-1, IMAGES), utility.reshape(-1, IMAGES), strict=True)
    own = [float(spearmanr(a, b).statistic) for a, b in groups if np.ptp(a) > 0 and np.ptp(b) > 0]
    return float(spearmanr(scores, utility).statistic), float(np.mean(own))
