"""Two pictures that people may be asked about, and a stream of such pairs that counts what it leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dina_lrm.pictures.names import shown


@dataclass(frozen=True)
class Candidate:
    """Two pictures of one prompt, by path or by the bytes of their files; `source` says in a few words what they are.

    `first` and `second` mean nothing: which one is called a, and which one stands on the left, is decided elsewhere.
    """

    prompt: str
    first: Path | bytes
    second: Path | bytes
    source: str


@dataclass
class Candidates:
    """Pairs of one source, to be gone through once, and sentences on what was found.

    `left_out` counts what is met on the way and cannot be asked about, by reason; `count` is how many pairs there are,
    None where nobody knows.
    """

    title: str
    pairs: Iterator[Candidate]
    count: int | None = None
    notes: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)

    def leave_out(self, reason: str, name: object) -> None:
        """Count something that is not asked about; one name of each reason is kept to be shown."""
        self.left_out[reason] += 1
        self.example.setdefault(reason, shown(name))

    def told(self) -> list[str]:
        """What was left out up to now, a sentence a reason."""
        return [
            f"{count} left out: {reason} (such as {self.example[reason]})"
            for reason, count in Counter(dict(self.left_out)).most_common()
        ]
