"""A row's picture as the model reads it: hashed and decoded from the same bytes, brought to a size of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from PIL import Image
from torch import Tensor

from dina_lrm.data.buckets import Bucket, nearest_bucket
from dina_lrm.images import fit, image_pixels
from dina_lrm.pictures.files import decoded_bytes, file_bytes
from dina_lrm.rewards.scoring.rows import ScoreRow
from dina_lrm.rewards.scoring.score import PictureScore
from dina_lrm.runs.content import content_of

Scores = Mapping[tuple[str, str], PictureScore]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A row with its picture, with the score that its content is known to have, or with what is wrong with it."""

    row: ScoreRow
    content: str | None = None
    picture: Image.Image | Tensor | None = None
    known: PictureScore | None = None
    fault: str = ""
    resized: bool = False
    note: str | None = None


@final
class Loader:
    """Loads the pictures of rows; those whose content and prompt have a score among `scores` are not decoded.

    Without `buckets` they keep the size that they have.
    """

    def __init__(self, buckets: Sequence[Bucket] | None, scores: Scores) -> None:
        self._buckets, self._scores = buckets, scores

    def __call__(self, row: ScoreRow) -> Loaded:
        """The row's picture; what cannot be read costs itself alone."""
        if row.source is None:
            return Loaded(row, fault=row.fault or "no image")
        content = None
        try:
            data = row.source if isinstance(row.source, bytes) else file_bytes(Path(row.source))
            content = content_of(data)
            known = self._scores.get((content, row.prompt))
            return Loaded(row, content, known=known) if known is not None else self._decoded(row, content, data)
        except (ValueError, OSError) as error:
            return Loaded(row, content, fault=str(error))
        except MemoryError:
            return Loaded(row, content, fault="the picture takes more memory than there is")

    def _decoded(self, row: ScoreRow, content: str, data: bytes) -> Loaded:
        name = f"image of {len(data)} bytes" if isinstance(row.source, bytes) else str(row.source)
        image, note = decoded_bytes(data, name)
        if self._buckets is None:
            return Loaded(row, content, image, note=note)
        bucket = nearest_bucket(image.size, self._buckets)
        if image.size == (bucket.width, bucket.height):
            return Loaded(row, content, image, note=note)
        # Here, in its thread, and not with its batch: large pictures are never many in memory
        return Loaded(row, content, fit(image_pixels(image), bucket), resized=True, note=note)
