"""Draw the picture of the quick start: pictures of four prompts, ranked by the bundled reward model.

python scripts/ranking_picture.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure
from sheet import Sheet

from dina_lrm.demo.folder import RankedPrompt, rank_folder, write_ranking_folder
from dina_lrm.reports.drawing import drawing, save_figure
from dina_lrm.reports.theme import DARK, LIGHT, Theme
from dina_lrm.reward_model.model import LatentRewardModel

ROWS: Final = 4
SIDE: Final = 96
"""Of a picture, in pixels of the page: three for each of its own."""
FOLDER: Final = Path(__file__).parents[1] / "docs" / "images"


def ranked() -> list[RankedPrompt]:
    """PNG files on disk, scored as `dina-lrm score` does, the best first."""
    model = LatentRewardModel.from_pretrained("synthetic", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        return rank_folder(write_ranking_folder(Path(folder) / "images", seed=0), model)[:ROWS]


def picture(rows: list[RankedPrompt], theme: Theme) -> Figure:
    """A row a prompt; below each picture its score, and what is wrong with it in words."""
    step, tall = SIDE + 18, SIDE + 76
    with drawing(theme):
        sheet = Sheet(len(rows[0].images) * step, len(rows) * tall, theme)
        for row, one in enumerate(rows):
            sheet.text(one.prompt, 8, row * tall + 2, 13, fontweight="bold")
            for column, (image, score, flaws) in enumerate(zip(one.images, one.scores, one.flaws, strict=True)):
                left, top = 8 + column * step, row * tall + 22
                sheet.picture(image, left, top, SIDE)
                sheet.text(f"{score:.2f}", left, top + SIDE + 2, 12)
                sheet.text(_in_words(flaws), left, top + SIDE + 18, 11, color=theme.quiet)
    return sheet.figure


def _in_words(flaws: str) -> str:
    """What is wrong, a line each, without its severity."""
    return "\n".join(flaw.rstrip("0123456789. ") for flaw in flaws.split(", "))


def main() -> None:
    """Draw the rows in light and dark."""
    rows = ranked()
    for theme, name in ((LIGHT, "light"), (DARK, "dark")):
        save_figure(picture(rows, theme), FOLDER / f"ranking-{name}.png")


if __name__ == "__main__":
    main()
