"""Which scores of a table still stand: those of the same picture, by its content, for the same prompt."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from dina_lrm.rewards.scoring.ahead import ahead
from dina_lrm.rewards.scoring.formats import ScoredRow
from dina_lrm.rewards.scoring.rows import ScoreRow
from dina_lrm.rewards.scoring.score import PictureScore
from dina_lrm.runs.content import content_of

_HASHED_AHEAD = 32


@dataclass
class Standing:
    """What a table of scores is worth for the rows that are asked for.

    `done` says of each row whether its score stands; `kept` are the rows of the table that stay, `scores` all that it
    has by content and prompt: a picture that has another name or place now needs no new one. `changed` pictures are
    others now than those that were scored under their names; of `unknown` ones an earlier version did not say what was
    scored: they are scored again, and so are the `retried` rows, which had no score. `gone` pictures cannot be read any
    more, and keep the score they had.
    """

    done: bytearray
    kept: list[ScoredRow] = field(default_factory=list)
    scores: dict[tuple[str, str], PictureScore] = field(default_factory=dict)
    changed: int = 0
    unknown: int = 0
    gone: int = 0
    retried: int = 0


def settled(rows: Iterable[ScoreRow], count: int, before: list[ScoredRow], pool: Executor) -> Standing:
    """Compare the `count` rows that are asked for with those of the table; only pictures that it names are read."""
    good = [row for row in before if row.error is None]
    found = Standing(bytearray(count), retried=len(before) - len(good))
    for row in good:
        if row.content is not None and row.score is not None:
            found.scores[row.content, row.prompt] = PictureScore(row.score, row.z, row.named)
    named = {(row.image, row.prompt) for row in good}
    now: defaultdict[tuple[str, str], set[str | None]] = defaultdict(set)
    if named:
        _mark_done(found, rows, good, named, now, pool)
    for row in good:
        contents = now.get((row.image, row.prompt))
        if contents is None or None in contents or row.content in contents:
            found.kept.append(row)
        elif row.content is None:
            found.unknown += 1
        else:
            found.changed += 1
    return found


def _mark_done(
    found: Standing,
    rows: Iterable[ScoreRow],
    good: list[ScoredRow],
    named: set[tuple[str, str]],
    now: dict[tuple[str, str], set[str | None]],
    pool: Executor,
) -> None:
    left = Counter((row.image, row.prompt, row.content) for row in good)
    asked = ((number, row) for number, row in enumerate(rows) if (row.image, row.prompt) in named)
    for (number, row), content in ahead(pool, lambda item: _content(item[1]), asked, _HASHED_AHEAD):
        now[row.image, row.prompt].add(content)
        if content is None:
            found.gone += 1
            found.done[number] = True
        elif left[row.image, row.prompt, content] > 0:  # the same image and prompt given twice are two rows
            left[row.image, row.prompt, content] -= 1
            found.done[number] = True


def _content(row: ScoreRow) -> str | None:
    """What the picture's file holds; None where there is none to be read."""
    if row.source is None:
        return None
    try:
        return content_of(row.source)
    except (OSError, ValueError):
        return None
