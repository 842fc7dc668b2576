"""Draw the README's picture: pictures of four prompts, ranked by the bundled reward model.

python scripts/ranking_picture.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from dina_lrm.demo.folder import rank_folder, write_ranking_folder
from dina_lrm.reports.run_plots import image_strips
from dina_lrm.reports.theme import LIGHT, save_figure
from dina_lrm.reward_model.model import LatentRewardModel

ROWS = 4
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "ranking.png"


def main() -> None:
    """Write PNG files, score them from disk, and draw the rows best first."""
    model = LatentRewardModel.from_pretrained("synthetic", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        ranking = rank_folder(write_ranking_folder(Path(folder) / "images", seed=0), model)[:ROWS]
    rows = {
        ranked.prompt: [
            (image, f"{score:.2f}\n" + flaws.replace(", ", "\n"))
            for image, score, flaws in zip(ranked.images, ranked.scores, ranked.flaws, strict=True)
        ]
        for ranked in ranking
    }
    save_figure(image_strips(rows, LIGHT), PICTURE)


if __name__ == "__main__":
    main()
