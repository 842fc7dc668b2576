"""Pairs of a file of comparisons, whose own answers are not looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dina_lrm.collecting.candidates.candidate import Candidate, Candidates
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.data.comparison import ImageSource, UnreadableImage, image_name
from dina_lrm.data.sources import read_comparisons


def candidates(settings: AnnotateSettings) -> Candidates:
    """The pairs of a file, in its order. Raises DinaError at the first row that is no comparison, when it is met."""
    where = Path(settings.where)
    found = Candidates(where.name, iter(()))
    found.pairs = _pairs(where, settings, found)
    return found


def _pairs(where: Path, settings: AnnotateSettings, found: Candidates) -> Iterator[Candidate]:
    for one in read_comparisons(where, seed=settings.seed):
        first, second = _source(one.image_a, found), _source(one.image_b, found)
        if first is not None and second is not None:
            yield Candidate(settings.prompt or one.prompt, first, second, one.source or where.name)


def _source(image: ImageSource, found: Candidates) -> Path | bytes | None:
    if isinstance(image, bytes | Path):
        return image
    if isinstance(image, str):
        return Path(image)
    reason = image.reason if isinstance(image, UnreadableImage) else "no picture to be shown, latents alone"
    found.leave_out(reason, image_name(image))
    return None
