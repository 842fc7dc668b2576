"""What was found and is not learned from, by reason: read + left out = found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class LeftOut:
    """Counts by reason, and for each the first that it befell."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, why: str, count: int = 1, such_as: str = "") -> None:
        """Count some more."""
        if count:
            self.counts[why] += count
            if such_as:
                self.first.setdefault(why, such_as)

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()

    def told(self) -> str:
        """The counts in a sentence, the most frequent reason first; empty where there is none."""
        parts = []
        for why, count in self.counts.most_common():
            example = f" (such as {self.first[why]})" if why in self.first else ""
            parts.append(f"{count} {why}{example}")
        return ", ".join(parts)
