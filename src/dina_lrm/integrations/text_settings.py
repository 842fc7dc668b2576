"""How a text becomes a picture to be scored, in trainers of language models. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dina_lrm.runs.ranges import COUNT, check_ranges, ranged
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class TextSettings:
    """Where the picture of a completion comes from, and which reward looks at it.

    Exactly one of `draw`, `caption_of` and `folder` is given.
    """

    model: str = "synthetic"
    """A reward model ("synthetic", a folder, a hub id), remote:http://HOST:PORT/NAME, or a reward of pictures."""
    draw: str | None = None
    """The completion is a prompt: this generator ("synthetic", a folder, a hub id) draws it."""
    caption_of: str | None = None
    """The completion describes a picture: this column of the data set holds it, and the completion is its prompt."""
    folder: str | Path | None = None
    """The completion is the name of a picture in this folder; nothing outside it is ever opened."""
    prompt_column: str | None = None
    """What the picture is to show: this column of the data set; None is the trainer's prompt. Not with caption_of."""
    noise_level: object = None
    """A number in [0, 1], a list for an ensemble, or None for the model's own."""
    seed: int = 0
    """Draws the pictures' first noise and the reward's, common to all completions so that they can be compared."""
    steps: int | None = None
    """Steps of the generator; None is what its family takes."""
    resolution: int | None = None
    """Side of its pictures in pixels; None is what its folder says."""
    guidance: float | None = None
    """Its scale of guidance; None is what its family takes."""
    device: str = "auto"
    """Where generator and reward compute: auto is the first there is of cuda, xpu, mps and cpu."""
    batch_size: int = ranged(8, COUNT)
    """Pictures that are drawn and scored at once, at most."""

    def __post_init__(self) -> None:
        check_ranges(self, "text reward")
        given = [name for name in ("draw", "caption_of", "folder") if getattr(self, name) is not None]
        if len(given) != 1:
            told = " and ".join(given) or "nothing"
            raise DinaError(f"text reward: {told} is given; accepted: one of draw, caption_of, folder")
        if self.caption_of is not None and self.prompt_column is not None:
            told = "prompt_column beside caption_of, whose prompt is the completion"
            raise DinaError(f"text reward: {told}; accepted: one of them")
