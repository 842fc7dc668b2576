"""Pictures with their scores, the best first, as a notebook shows them and as a line of text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import Markup
from torch import Tensor

from dina_lrm.images import load_image, split_images
from dina_lrm.pictures.sources import GivenPicture
from dina_lrm.reports.pages import LOSSLESS_UP_TO, data_uri
from dina_lrm.screen import escaped, number_text
from dina_lrm.typed import DinaError

_SIDE: Final = 128
"""Pixels of a picture's width on the page; larger ones are stored at twice that, for fine screens."""
_PICTURE: Final = Markup(
    '<figure style="margin:0;width:{side}px">'
    '<img alt="{alt}" src="{source}" style="width:{side}px;display:block;{drawn}"/>'
    '<figcaption style="font-size:12px;overflow-wrap:anywhere"><strong>{score}</strong> {caption}</figcaption></figure>'
)
_ROW: Final = Markup('<div style="display:flex;flex-wrap:wrap;gap:10px;align-items:flex-start">{}</div>')


class ScoreStrip:
    """Scored pictures, best first; a picture without a score comes last, with a dash.

    ```python
    ScoreStrip(pictures, model.score(pictures, "a red cube"), "a red cube")
    ```

    `images` is what `LatentRewardModel.score` takes, `scores` one number a picture. `captions` are one for each
    picture, or one text for all, which stands above. `most` pictures are shown; how many are not is said. Raises
    ValueError where the numbers of pictures, scores and captions differ.
    """

    def __init__(
        self,
        images: GivenPicture | Sequence[GivenPicture],
        scores: Iterable[float | int] | Tensor,
        captions: str | Sequence[str] = "",
        most: int = 24,
    ) -> None:
        self.images = split_images(images)
        self.scores = [float(score) for score in scores]
        self.title = captions if isinstance(captions, str) else ""
        self.captions = [""] * len(self.images) if isinstance(captions, str) else list(captions)
        self._most = most
        if not len(self.images) == len(self.scores) == len(self.captions) or most < 1:
            given = f"{len(self.images)} images, {len(self.scores)} scores, {len(self.captions)} captions, most {most}"
            raise DinaError(f"ScoreStrip: {given}; accepted: as many of each, and at least 1 to show")

    @property
    def order(self) -> list[int]:
        """The places of the pictures, the best first; equal scores keep their order."""
        return sorted(range(len(self.scores)), key=lambda place: _key(self.scores[place]))

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        """One line: how many, and the scores from the best on."""
        shown = ", ".join(number_text(self.scores[place], "+.2f") for place in self.order[: self._most])
        told = f" for {escaped(self.title)!r}" if self.title else ""
        return f"ScoreStrip of {len(self)} pictures{told}: {shown}{self._rest}"

    def _repr_html_(self) -> str:
        """The pictures side by side, best first, each with its score and caption; everything is escaped."""
        figures = Markup().join(self._figure(place) for place in self.order[: self._most])
        title = Markup("<div>{}</div>").format(escaped(self.title)) if self.title else Markup()
        rest = Markup("<div>{}</div>").format(self._rest.strip()) if self._rest else Markup()
        row = Markup('<div style="display:flex;flex-wrap:wrap;gap:10px;align-items:flex-start">{}</div>').format(
            figures
        )
        return str(title + row + rest)

    @property
    def _rest(self) -> str:
        hidden = len(self) - self._most
        return f" and {hidden:,} more that are not shown" if hidden > 0 else ""

    def _figure(self, place: int) -> Markup:
        image, caption = load_image(self.images[place]), escaped(self.captions[place])
        return _PICTURE.format(
            side=_SIDE,
            alt=caption or f"picture {place + 1}",
            source=data_uri(image, 2 * _SIDE, quality=88),
            drawn="image-rendering:pixelated" if max(image.size) <= LOSSLESS_UP_TO else "",
            score=number_text(self.scores[place], "+.2f"),
            caption=caption,
        )


def _key(score: float) -> tuple[bool, float]:
    return (math.isnan(score), -score)
