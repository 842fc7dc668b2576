"""On which pictures people vote, and where their votes go; nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.runs.places import check_file
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class VoteSettings:
    """On which pictures people vote, and where their votes go."""

    folder: Positional[Path]
    """A folder of pictures (searched below too). Captions that stand beside them, x.txt beside x.png or a
    metadata.jsonl, are their prompts: only pictures of one prompt are compared."""
    out: Path = Path("comparisons.jsonl")
    """The file of comparisons to write: each vote is a line at once. Votes that it holds are gone on from."""
    prompt: str | None = None
    """One text for all pictures, in the place of captions. With neither, all are compared as "a picture"."""
    port: int = 0
    """Port of the page on 127.0.0.1; 0 takes a free one."""
    seed: int = 0
    """Seed of the coin that says which picture stands on the left, and of the choice between pairs that are alike."""

    def check(self) -> None:
        """Refuse a folder that is not there, an empty prompt, a port that is none. Raises DinaError."""
        if not self.folder.is_dir():
            raise DinaError(f"{self.folder}: no such folder; accepted: a folder of pictures")
        if self.prompt is not None and not self.prompt.strip():
            raise DinaError("--prompt: is empty; accepted: a text, or no --prompt")
        if not 0 <= self.port <= 65535:
            raise DinaError(f"--port {self.port}; accepted: whole numbers from 0 to 65535")
        check_file("--out", self.out, (".jsonl",))
