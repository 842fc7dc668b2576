"""A folder of PNG files with prompts, and what a reward model makes of it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from dina_lrm.images import load_image
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.scoring.files import score_files
from dina_lrm.rewards.scoring.rows import read_score_rows
from dina_lrm.synthetic.draws import FlawRates, draw, render_draws
from dina_lrm.synthetic.scene import sample_prompt, seen
from dina_lrm.synthetic.utility import true_utility

PROMPTS: Final = 6
PICTURES: Final = 6
AS_ASKED: Final = "as asked"
"""Said of a picture without a flaw."""
_TABLE: Final = "prompts.csv"
_SLIGHT, _STRONG = 1 / 3, 2 / 3
_DAMAGED: Final = {
    "blur": "blurred",
    "noise": "noisy",
    "low contrast": "pale",
    "colour shift": "tinted",
    "grid": "gridded",
    "jpeg": "compressed",
}


@dataclass(frozen=True, eq=False)
class RankedPrompt:
    """Pictures for one prompt, the best score first, with what is truly wrong with each."""

    prompt: str
    files: tuple[str, ...]
    images: NDArray[np.uint8]
    scores: tuple[float, ...]
    utilities: tuple[float, ...]
    flaws: tuple[str, ...]

    @property
    def rank_correlation(self) -> float:
        """Spearman's correlation of score and true utility; NaN where all are equally good."""
        return float(spearmanr(self.scores, self.utilities).statistic)


def write_ranking_folder(folder: Path, seed: int) -> Path:
    """Write pictures of mixed quality as PNG, and a table of their prompts beside what is wrong with each."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng((7_000_000, seed))
    prompts = [sample_prompt(rng, seen) for _ in range(PROMPTS)]
    draws = [draw(prompt, FlawRates(), rng) for prompt in prompts for _ in range(PICTURES)]
    with (folder / _TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "prompt", "utility", "flaws"])
        pictures = zip(draws, render_draws(draws, rng), true_utility(draws), strict=True)
        for number, (drawn, image, utility) in enumerate(pictures):
            name = f"{number // PICTURES}-{number % PICTURES}.png"
            Image.fromarray(image).save(folder / name)
            flaws = ", ".join(_in_words(flaw.kind, flaw.severity) for flaw in drawn.flaws)
            writer.writerow([name, drawn.prompt.caption(), f"{utility:.3f}", flaws or AS_ASKED])
    return folder


def _in_words(kind: str, severity: float) -> str:
    """A flaw as one says it: what is wrong in the scene is so altogether, damage has degrees."""
    if kind not in _DAMAGED:
        return kind
    degree = "slightly " if severity < _SLIGHT else "very " if severity > _STRONG else ""
    return degree + _DAMAGED[kind]


def rank_folder(folder: Path, model: LatentRewardModel) -> list[RankedPrompt]:
    """Score the files from disk, as `dina-lrm score` does, and rank them by prompt."""
    table = folder / _TABLE
    scores = folder / "scores.csv"
    score_files(model, read_score_rows(table), scores, batch_size=PICTURES, made_by={"model": "demo"})
    with table.open(newline="", encoding="utf-8") as file:
        known = {row["image"]: row for row in csv.DictReader(file)}
    with scores.open(newline="", encoding="utf-8") as file:
        found = [{**known[row["image"]], "score": row["score"]} for row in csv.DictReader(file)]
    prompts = list(dict.fromkeys(row["prompt"] for row in found))
    return [_ranked(folder, prompt, [row for row in found if row["prompt"] == prompt]) for prompt in prompts]


def _ranked(folder: Path, prompt: str, rows: Sequence[dict[str, str]]) -> RankedPrompt:
    rows = sorted(rows, key=lambda row: -float(row["score"]))
    return RankedPrompt(
        prompt=prompt,
        files=tuple(row["image"] for row in rows),
        images=np.stack([np.asarray(load_image(folder / row["image"])) for row in rows]),
        scores=tuple(float(row["score"]) for row in rows),
        utilities=tuple(float(row["utility"]) for row in rows),
        flaws=tuple(row["flaws"] for row in rows),
    )
