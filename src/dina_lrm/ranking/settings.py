"""What is ranked, by what, and where it goes; nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from tyro.conf import Fixed, Positional, Suppress

from dina_lrm.backbones.settings import EncoderSettings, T5Weights
from dina_lrm.runs.places import check_file, check_folder
from dina_lrm.typed import DinaError

ANY_PROMPT: Final = "a picture"
"""The prompt of pictures that have none: what is only looked at, with no wish for what it shows."""
KIND: Final = "folder of links to ranked pictures"
"""What the marker of such a folder says."""
Value = TypeVar("Value")
Hidden = Annotated[Value, Fixed, Suppress]
"""Set by options that other commands have too."""


@dataclass(frozen=True)
class RankSettings:
    """What is ranked, by what, and where the page goes."""

    folder: Positional[Path]
    """A folder of pictures (searched below too), or a table with a column `image`. Captions that stand beside the
    pictures, x.txt beside x.png or a metadata.jsonl, are their prompts."""
    out: Path = Path("ranking.html")
    """The page to write. The scores are kept beside it, in a .scores.csv, so that a stopped command goes on."""
    model: str = "synthetic"
    """A reward model ("synthetic", a folder, a hub id), or a reward by name, such as clip or sharpness."""
    prompt: str | None = None
    """One text for all pictures, in the place of captions. With neither, all are scored for "a picture"."""
    links: Path | None = None
    """A folder to fill with links to the pictures, called 0001-... in order; one of an earlier ranking is replaced."""
    seed: int = 0
    """Seed of the noise that latent models read; every picture sees the same."""
    batch_size: int = 16
    """Pictures scored at once; changes no score."""
    device: Hidden[str | None] = None
    """Where to compute: a device of torch, or "auto"; by default the CPU."""
    dtype: Hidden[Literal["auto", "float32", "bfloat16"]] = "auto"
    """The type of a latent model's generator; auto is the device's own."""
    encoders: Hidden[EncoderSettings] = EncoderSettings()  # noqa: RUF009 - it is frozen
    """How a latent model holds its text encoders."""
    t5_weights: Hidden[T5Weights | None] = None
    """How a latent model holds T5; by default as it says."""

    def check(self) -> None:
        """Refuse a folder that is not there, an empty prompt, and a page that cannot be written. Raises DinaError."""
        if not self.folder.exists():
            raise DinaError(f"{self.folder}: no such folder; accepted: a folder of pictures, or a table of them")
        if self.prompt is not None and not self.prompt.strip():
            raise DinaError("--prompt: is empty; accepted: a text, or no --prompt")
        if self.batch_size < 1:
            raise DinaError(f"--batch-size {self.batch_size}; accepted: whole numbers of at least 1")
        check_file("--out", self.out, (".html", ".htm"))
        if self.links is not None:
            check_folder("--links", self.links)

    @property
    def scores(self) -> Path:
        """The table of scores beside the page."""
        return self.out.with_name(f"{self.out.stem}.scores.csv")
