"""A batch of rows with their scores, or with the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dina_lrm.rewards.scoring.formats import ScoredRow
from dina_lrm.rewards.scoring.judging import Scorer
from dina_lrm.rewards.scoring.loading import Loaded
from dina_lrm.rewards.scoring.score import NamedScore, PictureScore


@dataclass(frozen=True)
class ScoredBatch:
    """Rows of the table, in the order they were asked for, and what is to be counted and said of them.

    `known` had a score before, by their content; `truncated` are prompts that were not read to their end, `unread` has
    a sentence for each in which something could not be read.
    """

    rows: Sequence[ScoredRow]
    known: int
    resized: int
    unused_profiles: int
    truncated: Sequence[str]
    unread: Mapping[str, str]


def scored_batch(scorer: Scorer, batch: Sequence[Loaded]) -> ScoredBatch:
    """Score the pictures of a batch that have no score yet."""
    new = [(item.picture, item.row.prompt) for item in batch if item.picture is not None]
    found = iter(scorer([picture for picture, _ in new], [prompt for _, prompt in new]) if new else ())
    rows = [_scored_row(scorer, item, found) for item in batch]
    prompts = [*dict.fromkeys(prompt for _, prompt in new)]
    return ScoredBatch(
        rows,
        known=sum(item.known is not None for item in batch),
        resized=sum(item.resized for item in batch),
        unused_profiles=sum(item.note is not None for item in batch),
        truncated=[prompt for prompt in prompts if prompt in scorer.truncated],
        unread={prompt: scorer.unread[prompt] for prompt in prompts if prompt in scorer.unread},
    )


def _scored_row(scorer: Scorer, item: Loaded, found: Iterator[PictureScore | str]) -> ScoredRow:
    row = item.row
    if item.known is not None:
        return ScoredRow.of(row.image, row.prompt, item.known, item.content)
    result = item.fault if item.picture is None else next(found)
    fault = result if isinstance(result, str) else result.fault()
    if isinstance(result, str) or fault is not None:
        nothing = dict.fromkeys(scorer.names, NamedScore())
        return ScoredRow(row.image, row.prompt, error=fault, content=item.content, named=nothing)
    named = {name: NamedScore(_rounded(one.score), _rounded(one.z)) for name, one in result.named.items()}
    return ScoredRow(row.image, row.prompt, _rounded(result.score), _rounded(result.z), None, item.content, named)


def _rounded(value: float | None) -> float | None:
    """Without the digits that a float32 does not have."""
    return None if value is None else float(f"{value:.9g}")
