"""Draw the README's strip: pictures before and after alignment, beside the score of a picture on its way from noise.

python scripts/strip_picture.py --run runs/refl

Takes the first and the last look of the run in `--run`, which is made by the recipe `align refl synthetic` where it is
not there (two to five minutes of two cores). Which prompts are shown is not chosen by eye: they stand at fixed
quantiles of the gain in true utility over the prompts that the run does not train on.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from PIL import Image
from sheet import Sheet

from dina_lrm.alignment.job import AlignmentJob
from dina_lrm.alignment.monitor.looks import SAMPLES
from dina_lrm.alignment.prompts import held_prompts
from dina_lrm.recipes.alignment import refl_synthetic
from dina_lrm.reports.drawing import drawing, save_figure
from dina_lrm.reports.theme import DARK, LIGHT, Theme
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.captions import prompt_of, true_values
from dina_lrm.synthetic.draws import Draw, draw_mismatch, render_draws
from dina_lrm.synthetic.scene import realise

FOLDER: Final = Path(__file__).parents[1] / "docs" / "images"
QUANTILES: Final = (0.25, 0.5, 0.75, 0.95)
"""Of the gain in true utility: the prompts shown, the third of four is better than three quarters of all."""
PROMPT: Final = "two small pink rings on gray"
KINDS: Final = ("as asked", "wrong shape", "wrong colour")
LEVELS: Final = tuple(round(0.05 * step, 2) for step in range(17))
SHOWN: Final = (0.0, 0.2, 0.4, 0.6, 0.8)
"""Noise levels whose state is shown as a picture, decoded."""
DRAWS: Final = 32
PICTURE: Final = 96
"""Side of a picture of the left half in pixels of the page, three of them for each of the picture's own."""

Pictures = UInt8[np.ndarray, "pictures height width 3"]


@dataclass(frozen=True, eq=False)
class Aligned:
    """Pictures of the same prompts and noise, before and after."""

    prompts: tuple[str, ...]
    before: Pictures
    after: Pictures


@dataclass(frozen=True, eq=False)
class OnTheWay:
    """Pictures by kind, their scores over noise levels and draws, and how the first looks at `SHOWN`."""

    pictures: Pictures
    scores: Float[np.ndarray, "levels draws kinds"]
    states: Pictures


def aligned(run: Path) -> Aligned:
    """Pictures of the first and the last look of a run at the prompts that stand at `QUANTILES` of the gain."""
    if not (run / "lora").is_dir():
        config = refl_synthetic()
        AlignmentJob(config, held_prompts("synthetic", None, config.looks.prompts), run).run()
    looks = sorted((run / SAMPLES).glob("step-*.npz"), key=lambda file: int(file.stem.removeprefix("step-")))
    first, last = np.load(looks[0]), np.load(looks[-1])
    prompts = [str(prompt) for prompt in first["prompts"]]
    utility = [true_values(look["images"], prompts)["utility"] for look in (first, last)]
    order = np.argsort(utility[1] - utility[0], kind="stable")
    rows = [int(order[round(quantile * (len(order) - 1))]) for quantile in QUANTILES]
    return Aligned(tuple(prompts[row] for row in rows), first["images"][rows], last["images"][rows])


@torch.no_grad()
def on_the_way(model: LatentRewardModel) -> OnTheWay:
    """Score states of pictures of `PROMPT` at each noise level; all kinds see the same draws of noise."""
    prompt = prompt_of(PROMPT)
    assert prompt is not None
    scenes = [draw_mismatch(prompt, kind, np.random.default_rng(0)) for kind in KINDS[1:]]
    draws = [Draw(prompt, scene) for scene in (realise(prompt, np.random.default_rng(0)), *scenes) if scene is not None]
    pictures = render_draws(draws, np.random.default_rng(0))
    latents = model.encode_images([Image.fromarray(picture) for picture in pictures])
    conditioning = model.encode_prompts([PROMPT] * len(KINDS))
    noise = torch.randn(DRAWS, 1, *latents.shape[1:], generator=torch.Generator().manual_seed(0)).expand(
        -1, len(KINDS), -1, -1, -1
    )
    states = [[model.process.add_noise(latents, each, torch.tensor(level)) for each in noise] for level in LEVELS]
    scores = [
        torch.stack([model.score_noisy(state, level, conditioning) for state in row])
        for level, row in zip(LEVELS, states, strict=True)
    ]
    seen = torch.cat([states[LEVELS.index(level)][0][:1] for level in SHOWN])
    pixels = (model.backbone.decode_latents(seen).clamp(-1, 1) + 1) * 127.5
    decoded = pixels.round().byte().permute(0, 2, 3, 1)
    return OnTheWay(pictures, torch.stack(scores).numpy(), decoded.numpy())


def strip(pictures: Aligned, way: OnTheWay, theme: Theme, stacked: bool) -> Figure:
    """Both halves side by side, or `stacked` for a narrow screen."""
    with drawing(theme):
        sheet = Sheet(420, 600, theme) if stacked else Sheet(916, 290, theme)
        _draw_aligned(sheet, pictures, left=0)
        if stacked:
            _draw_way(sheet, way, left=0, top=304, width=420)
        else:
            _draw_way(sheet, way, left=474, top=0, width=442)
    return sheet.figure


def _draw_aligned(sheet: Sheet, pictures: Aligned, left: float) -> None:
    quiet, step = sheet.theme.quiet, PICTURE + 4
    margin = left + 18
    sheet.text("Aligned: same prompts and noise, before and after", margin, 2, 13, fontweight="bold")
    for row, (name, images) in enumerate({"before": pictures.before, "after": pictures.after}.items()):
        top = 24 + row * step
        sheet.text(name, left + 2, top + PICTURE / 2, rotation=90, va="center", color=quiet)
        for column, image in enumerate(images):
            sheet.picture(image, margin + column * step, top, PICTURE)
    for column, prompt in enumerate(pictures.prompts):
        words = "\n".join(wrap(prompt, 17))
        sheet.text(words, margin + column * step, 24 + 2 * step + 2, 10.5, color=quiet, linespacing=1.25)


def _draw_way(sheet: Sheet, way: OnTheWay, left: float, top: float, width: float) -> None:
    theme, quiet, side = sheet.theme, sheet.theme.quiet, 48
    sheet.text("Scored at any noise level, without decoding", left + 26, top + 2, 13, fontweight="bold")
    span = width - 26 - side / 2 - 84
    axes = sheet.axes(left + 26, top + 26, span, 172)
    for kind, (mean, spread) in enumerate(zip(way.scores.mean(1).T, way.scores.std(1).T, strict=True)):
        axes.fill_between(LEVELS, mean - spread, mean + spread, color=theme.colour(kind), alpha=0.18, linewidth=0)
        axes.plot(LEVELS, mean, color=theme.colour(kind))
    axes.set(xlim=(0, LEVELS[-1]), xticks=SHOWN, xticklabels=[], yticks=(-4, -2, 0, 2), ylim=(-6, 4))
    axes.tick_params(labelsize=9.5)
    sheet.text("score", left + 28, top + 23, 11, color=quiet)
    for level, state in zip(SHOWN, way.states, strict=True):
        middle = left + 26 + level / LEVELS[-1] * span
        sheet.picture(state, middle - side / 2, top + 204, side)
        sheet.text(f"{level:g}", middle, top + 254, 11, ha="center", color=quiet)
    sheet.text("noise level of the state", left + 26 + span / 2, top + 269, 11, ha="center", color=quiet)
    for kind, (name, picture) in enumerate(zip(KINDS, way.pictures, strict=True)):
        _draw_key(sheet, name, picture, kind, left + width - 72, top + 26 + kind * 86)


def _draw_key(
    sheet: Sheet, name: str, picture: UInt8[np.ndarray, "height width 3"], kind: int, left: float, top: float
) -> None:
    colour = sheet.theme.colour(kind)
    shown = sheet.picture(picture, left, top, 64)
    shown.set_axis_on()
    shown.set(xticks=[], yticks=[])
    shown.grid(visible=False)
    for spine in shown.spines.values():
        spine.set(visible=True, color=colour, linewidth=2)
    sheet.text(name, left + 32, top + 66, 11, ha="center", color=colour)


def main() -> None:
    """Draw the strip for wide and narrow screens, in light and dark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", type=Path, default=Path("runs/refl"))
    pictures, way = aligned(parser.parse_args().run), on_the_way(LatentRewardModel.from_pretrained("synthetic"))
    for theme, name in ((LIGHT, "light"), (DARK, "dark")):
        for stacked, shape in ((False, "wide"), (True, "narrow")):
            save_figure(strip(pictures, way, theme, stacked), FOLDER / f"strip-{shape}-{name}.png")


if __name__ == "__main__":
    main()
