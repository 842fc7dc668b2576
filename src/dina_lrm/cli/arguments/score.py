"""Options of `dina-lrm score`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dina_lrm.console.common import CommonArguments
from dina_lrm.console.levels import parsed_levels
from dina_lrm.rewards.scoring.log import check_table
from dina_lrm.runs.places import check_file


@dataclass
class Arguments(CommonArguments):
    """Score images for prompts into a table with the columns image, prompt, score, z, error, content.

    A run that was stopped goes on when the same command is given; scores of another model, noise level or seed are
    never mixed in. A score belongs to what the image holds (`content` is its SHA-256): one that was made anew under its
    name is scored again. An image that cannot be scored is in the table with its error, and the exit code is 1.

    Example:
        dina-lrm score --images pictures --prompts "a red cube" --model synthetic --out scores.csv
    """

    images: Path
    """A folder (searched below too), an image, or a CSV, JSONL, JSON or Parquet table with a column `image`."""
    model: str
    """The reward model: "synthetic", a folder, or a Hugging Face Hub id."""
    out: Path
    """The table to write: .csv, .jsonl or .parquet."""
    prompts: str | None = None
    """A text for all images; a text file with one prompt a line; a table with the columns image and prompt, where an
    image may have several; or, for a table of images, the column that holds the prompts (by default `prompt`)."""
    noise_level: float | None = None
    """Noise level in [0, 1]; by default the one stored with the model."""
    ensemble: str | None = None
    """Several noise levels read together, such as 0.2,0.5,0.7."""
    seed: int = 0
    """Seed of the noise; every image of a size sees the same."""
    batch_size: int = 16
    """Images scored at once; changes no score."""
    backbone: str | None = None
    """Where the generator is, a folder or hub id, when it is not where the model says."""
    revision: str | None = None
    """Revision of a hub id: a branch, a tag or a commit."""
    device: str | None = None
    """Where to compute; by default the first GPU, else the CPU."""

    def levels(self) -> float | tuple[float, ...] | None:
        """The noise levels that are asked for; None is the model's own."""
        return parsed_levels(self.noise_level, self.ensemble)

    def check(self) -> None:
        """Refuse levels and a table that cannot be."""
        self.levels()
        check_table(self.out)
        check_file("--out", self.out)
