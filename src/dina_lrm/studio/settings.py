"""What a studio is told: the model, other judges, where it listens. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.serving.door import Door
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class StudioSettings:
    """The model that is looked into, other judges, and where the pages are."""

    model: str = "synthetic"
    """The reward model: "synthetic", a folder, or a Hugging Face Hub id."""
    backbone: str | None = None
    """Where its generator is, a folder or hub id, when it is not where the model says."""
    annotate: str | None = None
    """What people vote on in the tab "Annotate": a folder of pictures, or whatever `dina-lrm annotate` takes."""
    votes: Path = Path("votes.sqlite")
    """The store that votes of that tab go to; those that it holds are gone on from."""
    judges: tuple[str, ...] = ("cnn", "sharpness", "colourfulness")
    """Rewards of pictures that are asked beside the model when two sides are compared, such as clip."""
    host: str = "127.0.0.1"
    """Address to listen at; another than this machine's own needs a token."""
    port: int = 7860
    """Port to listen at; 0 takes a free one and says which."""
    token_file: Path | None = None
    """A file with the token that the page asks for, of at least 16 characters."""

    @property
    def door(self) -> Door:
        """Where it listens and who may look."""
        return Door(self.host, self.port, self.token_file)

    def check(self) -> None:
        """Refuse what could not run, and an open door. Raises DinaError."""
        if len(set(self.judges)) < len(self.judges):
            raise DinaError(f"--judges {' '.join(self.judges)}: names one twice; accepted: each once")
        if self.collecting is not None:
            self.collecting.check()
        self.door.check()

    @property
    def collecting(self) -> AnnotateSettings | None:
        """What is voted on and where votes go; None where nothing is."""
        return None if self.annotate is None else AnnotateSettings(self.annotate, out=self.votes)
