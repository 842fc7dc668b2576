"""A table of comparisons with its card beside it: `kept.jsonl` and `kept.jsonl.card.md`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dina_lrm.cards.bases import UNKNOWN, licence_of
from dina_lrm.cards.data_sets import SIGN, DataSet, comparisons_card
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.named_source import NamedSource
from dina_lrm.data.sources import is_hub, takes_columns
from dina_lrm.data.sources.counting import Counted
from dina_lrm.data.sources.writing import check_format, write_comparisons
from dina_lrm.runs.files import write_text
from dina_lrm.runs.ownership import check_page


def write_carded(
    path: Path, comparisons: Iterable[Comparison], of: DataSet, more: Callable[[], str] = lambda: ""
) -> int:
    """Write comparisons as `write_comparisons` does, then their card; returns the number of rows.

    `of` says what they are, its counts before those that are counted here; `more` is asked for further sections once
    all are written. Raises FileExistsError, before anything is written, for a card that somebody else wrote.
    """
    check_carded(path)
    counted = Counted(comparisons)

    def then_the_card() -> Iterator[Comparison]:
        """The card stands before the table does: a table that stands is not written over by whoever was killed."""
        yield from counted
        told = replace(of, counts={**of.counts, **counted.facts()}, more=more())
        write_text(card_beside(path), comparisons_card(told, path.name, counted.columns))

    return write_comparisons(path, then_the_card())


def check_carded(path: Path) -> None:
    """Refuse what `write_carded` would refuse: a suffix that is no format, a card that somebody else wrote."""
    check_format(path)
    check_page(card_beside(path), SIGN)


def card_beside(table: Path) -> Path:
    """Where the card of a table lies."""
    return table.with_name(f"{table.name}.card.md")


def licence_beside(path: Path | None) -> str:
    """The licence that the card in the folder of a data set, or beside a table, states; "unknown" where none does."""
    if path is None or is_hub(path):
        return UNKNOWN
    return licence_of(str(path if path.is_dir() else path.absolute().parent))


def shown_source(source: NamedSource) -> str:
    """A source as a card names it, without where it lies."""
    if not takes_columns(source.source):
        return source.title
    return "a table" if source.path is None else f"`{source.path.name}`"
