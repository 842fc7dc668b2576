"""Options of `dina-lrm score`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dina_lrm.console.before import SaysBefore
from dina_lrm.console.engines import EngineOptions
from dina_lrm.console.options import AnnotatorOptions, EncoderOptions, ReadingOptions
from dina_lrm.console.tables import ReadsPictures
from dina_lrm.rewards.scoring.log import check_table
from dina_lrm.runs.places import check_file


@dataclass
class Arguments(AnnotatorOptions, EncoderOptions, ReadingOptions, EngineOptions, ReadsPictures, SaysBefore):
    """Score images for prompts into a table with the columns image, prompt, score, z, error, content.

    A model of several named scores has columns score.NAME and z.NAME for each behind them, from one pass;
    FOLDER?score=NAME and a weighted sum FOLDER?score=NAME:WEIGHT,... give that one score alone.

    A run that was stopped goes on when the same command is given; scores of another model, noise level or seed are
    never mixed in. A score belongs to what the image holds (`content` is its SHA-256): one that was made anew under its
    name is scored again. An image that cannot be scored is in the table with its error, and the exit code is 1.

    Examples:
        dina-lrm score --images pictures --prompts "a red cube" --model synthetic --out scores.csv
        dina-lrm score --images pictures --model LRM --out scores.parquet --engine ray --ray-address auto
    """

    images: Path
    """A folder (searched below too), an image, or a table (CSV, JSONL, JSON, Parquet, WebDataset tar) with a column
    `image`, `file_name` or `path`."""
    model: str
    """The reward model ("synthetic", a folder, a hub id), or a reward by name, such as clip or sharpness."""
    out: Path
    """The table to write: .csv, .jsonl or .parquet."""
    prompts: str | None = None
    """A text for all images; a text file with one prompt a line; a table with the columns image and prompt, where an
    image may have several; or, for a table of images, the column that holds the prompts (by default `prompt`).
    Without, captions beside the pictures are read: x.txt beside x.png, or metadata.jsonl."""
    html: Path | None = None
    """A page to write too, with the pictures from best to worst."""
    batch_size: int = 16
    """Images scored at once; changes no score."""

    def check(self) -> None:
        """Refuse levels and a table that cannot be."""
        self.levels()
        self.ray_engine()
        check_table(self.out)
        check_file("--out", self.out)
        if self.html is not None:
            check_file("--html", self.html, (".html", ".htm"))
