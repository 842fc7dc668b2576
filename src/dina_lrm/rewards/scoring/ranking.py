"""Scored pictures from best to worst, each with its place and the share of the others that it is above."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from dina_lrm.rewards.scoring.formats import ScoredRow
from dina_lrm.rewards.scoring.rows import ScoreRow


@dataclass(frozen=True)
class RankedPicture:
    """A picture, its score for its prompt, and its place.

    `rank` counts from 1, the best. `percentile` is the share of all the other pictures with a lower score, in percent,
    where equal scores count half; `percentile_of_prompt` counts those of the same prompt alone. `source` is the path
    or the bytes of its file, None where neither is known any more.
    """

    rank: int
    image: str
    prompt: str
    score: float
    percentile: float
    percentile_of_prompt: float
    source: Path | bytes | None


@dataclass(frozen=True)
class Ranking:
    """Pictures from best to worst; `without_score` are those that have none, and why. Together they are all rows."""

    pictures: Sequence[RankedPicture]
    without_score: Sequence[tuple[str, str]]

    @property
    def prompts(self) -> tuple[str, ...]:
        """The different prompts, in the order of their best picture."""
        return tuple(dict.fromkeys(picture.prompt for picture in self.pictures))

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a command's JSON."""
        ranked = [
            {name: getattr(one, name) for name in ("rank", "image", "prompt", "score", "percentile")}
            for one in self.pictures
        ]
        without = [{"image": image, "error": error} for image, error in self.without_score]
        return {"ranked": ranked, "without_score": without}


def ranking_of(rows: Iterable[ScoreRow], scored: Iterable[ScoredRow]) -> Ranking:
    """Put the rows that were asked for in the order of their scores, as a table holds them; equal ones by name.

    Rows of the table that nobody asked for are left alone. A row that the table does not hold has no score.
    """
    found: dict[tuple[str, str], list[ScoredRow]] = {}
    for row in scored:
        found.setdefault((row.image, row.prompt), []).append(row)
    good: list[tuple[ScoreRow, float]] = []
    without: list[tuple[str, str]] = []
    for asked in rows:
        of_name = found.get((asked.image, asked.prompt), [])
        one = of_name.pop(0) if len(of_name) > 1 else next(iter(of_name), None)  # given twice, it is there twice
        if one is None or one.score is None:
            without.append((asked.image, "not in the table" if one is None else one.error or "no score"))
        else:
            good.append((asked, one.score))
    good.sort(key=lambda pair: (-pair[1], pair[0].image, pair[0].prompt))
    return Ranking(_placed(good), without)


def _placed(good: Sequence[tuple[ScoreRow, float]]) -> list[RankedPicture]:
    scores = np.array([score for _, score in good], dtype=float)
    overall, within = percentiles(scores), np.zeros(len(good))
    of_prompt: dict[str, list[int]] = {}
    for number, (row, _) in enumerate(good):
        of_prompt.setdefault(row.prompt, []).append(number)
    for here in of_prompt.values():
        within[here] = percentiles(scores[here])
    places = zip(good, overall.tolist(), within.tolist(), strict=True)
    return [
        RankedPicture(rank, row.image, row.prompt, score, share, own, row.source)
        for rank, ((row, score), share, own) in enumerate(places, start=1)
    ]


def percentiles(scores: NDArray[np.float64]) -> Float[np.ndarray, " pictures"]:
    """Share of the others that each score is above, in [0, 100]; equal ones count half. A single score is at 100.

    Scores are finite, as those of tables are: what is not is a row without a score.
    """
    if len(scores) < 2:
        return np.full(len(scores), 100.0)
    _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
    below = np.cumsum(size) - size + (size - 1) / 2  # equal ones share the mean of their places
    return 100 * below[group] / (len(scores) - 1)
