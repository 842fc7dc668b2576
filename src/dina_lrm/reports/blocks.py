"""What a report is made of: sections of text, tables, figures, pictures and facts. Data only; `html` lays them out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from dina_lrm.evaluation.interval import Interval
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Text:
    """Paragraphs, lists, emphasis, code and tables in CommonMark. HTML and images in it are shown as text."""

    body: str


def as_written(text: str) -> str:
    """Anybody's words inside a `Text`: letters that CommonMark takes for its own are shown."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|&~-])", r"\\\1", " ".join(text.split()))


@dataclass(frozen=True)
class Share:
    """A share in [0, 1], shown in percent, and with its interval where it is an estimate. `best` sets it in bold;
    `signed` is for differences of shares.
    """

    value: float | Interval
    best: bool = False
    signed: bool = False


Cell = str | int | float | Share | None
"""Text is set left, numbers right with aligned digits; None is a dash."""


@dataclass(frozen=True)
class Table:
    """Rows of cells under column heads. `caption` stands above, `note` in small type below."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise DinaError(f"table row {number} has {len(row)} cells for {len(self.columns)} columns")


@dataclass(frozen=True, eq=False)
class Figure:
    """A plot drawn with `theme.ADAPTIVE`; it follows the reader's light or dark scheme."""

    plot: matplotlib.figure.Figure
    caption: str = ""


Mark = Literal["", "good", "bad"]
"""How a picture is framed: not at all, as a good one or as a bad one."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, (h, w, 3) uint8 or PIL, with a short text under it. `mark` frames it."""

    image: np.ndarray | Image.Image
    caption: str = ""
    mark: Mark = ""


@dataclass(frozen=True, eq=False)
class ImageRow:
    """Pictures side by side under a title, such as the prompt they were made for; `note` follows the title."""

    title: str
    pictures: Sequence[Picture]
    note: str = ""


@dataclass(frozen=True, eq=False)
class ImageGrid:
    """Rows of pictures. `columns` rows of few pictures may stand beside each other; `frames` says what marks mean."""

    rows: Sequence[ImageRow]
    caption: str = ""
    columns: int = 1
    frames: Mapping[Mark, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Headline:
    """One number a reader should see first. `value` as text, ready to read."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Headlines:
    """A row of headline numbers."""

    items: Sequence[Headline]


@dataclass(frozen=True)
class Facts:
    """Names and values: environment, settings, counts."""

    items: Mapping[str, str]


@dataclass(frozen=True)
class Code:
    """A command or a piece of text set in a fixed pitch."""

    text: str


@dataclass(frozen=True, eq=False)
class Folded:
    """Blocks that a reader opens by a click on `summary`."""

    summary: str
    blocks: Sequence[Block]


Block = Text | Table | Figure | ImageGrid | Headlines | Facts | Code | Folded


@dataclass(frozen=True, eq=False)
class Section:
    """A titled part of the page; a `folded` one shows its title until a reader opens it."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False
