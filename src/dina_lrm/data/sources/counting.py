"""Comparisons counted as they stream by, for whoever says afterwards what a table holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.columns import COLUMNS

_NAMED = 5


class Counted:
    """Comparisons as they are; once they are through, how many there were and which columns had a value."""

    def __init__(self, comparisons: Iterable[Comparison]) -> None:
        self._comparisons = comparisons
        self.pairs = self.ties = 0
        self._prompts: set[int] = set()
        self._sources: Counter[str] = Counter()
        self._columns: set[str] = set()

    def __iter__(self) -> Iterator[Comparison]:
        for comparison in self._comparisons:
            self.pairs += 1
            self.ties += comparison.is_tie
            self._prompts.add(hash(comparison.prompt))
            if comparison.source is not None:
                self._sources[comparison.source] += 1
            if len(self._columns) < len(COLUMNS):
                self._columns |= {name for name in COLUMNS if getattr(comparison, name) not in (None, ())}
            yield comparison

    @property
    def columns(self) -> list[str]:
        """Names of columns that had a value, in the order of the table."""
        return [name for name in COLUMNS if name in self._columns]

    def facts(self) -> dict[str, object]:
        """The counts, for a card."""
        named = ", ".join(f"{name} ({count:,})" for name, count in self._sources.most_common(_NAMED))
        more = len(self._sources) - _NAMED
        return {
            "pairs": f"{self.pairs:,}",
            "ties": f"{self.ties:,}",
            "prompts": f"{len(self._prompts):,}",
            "sources": f"{named} and {more} more" if more > 0 else named or None,
        }
