"""Filters of comparisons: each streams, keeps order, and says what it removed and why.

    kept = Filtered(comparisons, [DropTies(), Deduplicate(), PairsPerPrompt(3)])
    write_comparisons("kept.jsonl", kept)
    kept.report()      # one FilterCount a filter

A `FilterPlan` says which filters are wanted, in their usual order.

MPCF, multi-preference consistent filtering (arXiv 2502.01051, section 4.3), keeps a pair when the labelled winner is
also ahead on image-text alignment (CLIP score, VQA score) and not behind, or not far behind, on aesthetics. Its scores
are computed here, with any reward, and are found by the identity of image and prompt, never by the order of rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from dina_lrm.data.comparison import Comparison, ImageSource, contradict, image_key, oriented
from dina_lrm.typed import DinaError

Scores = Mapping[tuple[str, str], float]
"""Score of an image for a prompt, by (`image_key`, prompt)."""


@dataclass(frozen=True)
class FilterCount:
    """What a filter saw, what it removed, and how often for which reason."""

    name: str
    seen: int
    removed: int
    reasons: dict[str, int]

    @property
    def why(self) -> str:
        """The reasons in words, each with its count."""
        return ", ".join(f"{why} ({count})" for why, count in self.reasons.items()) or "-"


class Filter(ABC):
    """Decides about one comparison after the other; what it remembers is part of one pass."""

    name: str

    @abstractmethod
    def reason(self, comparison: Comparison) -> str | None:
        """Why the comparison is removed, None when it is kept."""


class Filtered:
    """The comparisons that pass all filters, in order; a pass can be counted when it is over."""

    def __init__(self, comparisons: Iterable[Comparison], filters: Sequence[Filter]) -> None:
        self._comparisons, self.filters = comparisons, tuple(filters)
        self._seen: Counter[int] = Counter()
        self._reasons: dict[int, Counter[str]] = defaultdict(Counter)

    def __iter__(self) -> Iterator[Comparison]:
        for comparison in self._comparisons:
            if self._passes(comparison):
                yield comparison

    def _passes(self, comparison: Comparison) -> bool:
        for number, chosen in enumerate(self.filters):
            self._seen[number] += 1
            reason = chosen.reason(comparison)
            if reason is not None:
                self._reasons[number][reason] += 1
                return False
        return True

    def report(self) -> list[FilterCount]:
        """One row a filter, in order: each saw only what those before it kept."""
        return [
            FilterCount(f.name, self._seen[n], sum(self._reasons[n].values()), dict(self._reasons[n]))
            for n, f in enumerate(self.filters)
        ]


@final
class DropTies(Filter):
    """Ties hold no preference."""

    name = "ties"

    def reason(self, comparison: Comparison) -> str | None:
        """A label of exactly 1/2."""
        return "tie" if comparison.is_tie else None


@final
@dataclass
class MinimumConfidence(Filter):
    """Keep what the data set is sure of. What has no confidence is kept unless `required`."""

    least: float
    required: bool = False
    name: str = "confidence"

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise DinaError(f"least confidence {self.least}; accepted: a number in [0, 1]")

    def reason(self, comparison: Comparison) -> str | None:
        """Its confidence is too low, or not known where it must be."""
        if comparison.confidence is None:
            return "confidence not known" if self.required else None
        return f"confidence below {self.least:g}" if comparison.confidence < self.least else None


@final
@dataclass
class MinimumVotes(Filter):
    """Keep what enough people judged, and agreed on: share of the majority of at least `agreement`."""

    least: int = 1
    agreement: float = 0.5
    name: str = "votes"

    def __post_init__(self) -> None:
        if self.least < 1 or not 0.5 <= self.agreement <= 1:
            raise DinaError(f"least votes {self.least}, agreement {self.agreement}; accepted: from 1 on, in [0.5, 1]")

    def reason(self, comparison: Comparison) -> str | None:
        """Too few votes, or too little agreement."""
        if comparison.votes is None:
            return "votes not known" if self.least > 1 else self._agreement(comparison)
        return f"fewer than {self.least} votes" if comparison.votes < self.least else self._agreement(comparison)

    def _agreement(self, comparison: Comparison) -> str | None:
        share = max(comparison.preference, 1 - comparison.preference)
        return f"agreement below {self.agreement:g}" if share < self.agreement else None


@final
@dataclass
class PairsPerPrompt(Filter):
    """At most so many pairs of one prompt, the first that come."""

    most: int
    name: str = "pairs of a prompt"
    _seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if self.most < 1:
            raise DinaError(f"at most {self.most} pairs of a prompt; accepted: at least 1")

    def reason(self, comparison: Comparison) -> str | None:
        """The prompt has had its pairs."""
        if self._seen[comparison.prompt] >= self.most:
            return f"more than {self.most} pairs of the prompt"
        self._seen[comparison.prompt] += 1
        return None


@final
@dataclass
class Deduplicate(Filter):
    """One judgement of two images for a prompt; of contradicting ones the first is kept, and they are told apart."""

    name: str = "duplicates"
    _judged: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def reason(self, comparison: Comparison) -> str | None:
        """It was judged before, alike or the other way."""
        keys = image_key(comparison.image_a), image_key(comparison.image_b)
        if keys[0] == keys[1]:
            return "an image against itself"
        key, preference = oriented(comparison.prompt, keys, comparison.preference)
        if key not in self._judged:
            self._judged[key] = preference
            return None
        return "judged the other way before" if contradict(self._judged[key], preference) else "judged before"


@final
class NotIn(Filter):
    """Leave out what a test set holds: its prompts, or its images, by the content of their files wherever they lie."""

    def __init__(self, test: Iterable[Comparison], name: str = "leakage") -> None:
        self.name = name
        self._prompts: set[str] = set()
        self._contents: dict[str, str] = {}
        images: set[str] = set()
        for comparison in test:
            self._prompts.add(normalized_prompt(comparison.prompt))
            images |= self._both(comparison)
        self._images = frozenset(images)

    def reason(self, comparison: Comparison) -> str | None:
        """Its prompt (but for case and spaces) or one of its images is in the test set."""
        if normalized_prompt(comparison.prompt) in self._prompts:
            return "prompt of the test set"
        return "image of the test set" if self._both(comparison) & self._images else None

    def _both(self, comparison: Comparison) -> set[str]:
        return {self._content(comparison.image_a), self._content(comparison.image_b)}

    def _content(self, image: ImageSource) -> str:
        """A hash of the file, which is read once; of a file that cannot be read, its path."""
        key = image_key(image)
        if not isinstance(image, str | Path):
            return key
        if key not in self._contents:
            path = Path(image)
            self._contents[key] = image_key(path.read_bytes()) if path.is_file() else key
        return self._contents[key]


def normalized_prompt(prompt: str) -> str:
    """A prompt without what does not make it another: case, and spaces beyond one."""
    return " ".join(prompt.casefold().split())


@dataclass(frozen=True)
class Criterion:
    """A score by which the labelled winner must lead by more than `gap`; a tie may differ by less than `tie`."""

    name: str
    scores: Scores
    gap: float = 0.0
    tie: float = 0.0


AESTHETIC_GAPS: Final[dict[str, float]] = {"strict": 0.0, "default": -0.5, "loose": -1.0}
"""How far behind on aesthetics a winner may be, by strength of the filter."""
TIES: Final = {"aesthetic": 0.2, "clip": 0.03, "vqa": 0.07}
"""Differences below which a labelled tie is one (arXiv 2502.01051)."""


@final
class ConsistentPreference(Filter):
    """MPCF: the labelled winner leads by every criterion, and a labelled tie is one by every criterion."""

    name = "MPCF"

    def __init__(self, criteria: Sequence[Criterion]) -> None:
        if not criteria:
            raise DinaError("MPCF: no criteria were given; accepted: at least one")
        self.criteria = tuple(criteria)

    @classmethod
    def of(
        cls,
        aesthetic: Scores | None = None,
        clip: Scores | None = None,
        vqa: Scores | None = None,
        strength: str = "default",
    ) -> ConsistentPreference:
        """The published three criteria: aesthetics in one of three strengths, CLIP score, VQA score; None leaves one
        out.
        """
        if strength not in AESTHETIC_GAPS:
            raise DinaError(f"MPCF: strength {strength!r}; accepted: {', '.join(AESTHETIC_GAPS)}")
        gaps = {"aesthetic": AESTHETIC_GAPS[strength], "clip": 0.0, "vqa": 0.0}
        given = {"aesthetic": aesthetic, "clip": clip, "vqa": vqa}
        return cls(
            [Criterion(name, scores, gaps[name], TIES[name]) for name, scores in given.items() if scores is not None]
        )

    def reason(self, comparison: Comparison) -> str | None:
        """The first criterion that disagrees, or has no score for one of the images."""
        keys = [(image_key(image), comparison.prompt) for image in (comparison.image_a, comparison.image_b)]
        for criterion in self.criteria:
            a, b = (criterion.scores.get(key, float("nan")) for key in keys)
            if not (abs(a) < float("inf") and abs(b) < float("inf")):
                return f"no {criterion.name} score"
            if comparison.is_tie:
                if abs(a - b) >= criterion.tie:
                    return f"{criterion.name} tells a tie apart"
            elif (a - b if comparison.preference > 0.5 else b - a) <= criterion.gap:
                return f"{criterion.name} disagrees"
        return None


@dataclass(frozen=True)
class FilterPlan:
    """Which filters are asked for, in the order in which they run: each sees what those before it kept.

    `not_in` gives, by a name for reports, comparisons whose prompts and images must not occur; `mpcf` is the strength
    of multi-preference consistent filtering, which needs scores. Raises ValueError for limits that a filter refuses.
    """

    drop_ties: bool = False
    min_confidence: float | None = None
    require_confidence: bool = False
    min_votes: int | None = None
    min_agreement: float | None = None
    not_in: Mapping[str, Callable[[], Iterable[Comparison]]] = field(default_factory=dict)
    deduplicate: bool = False
    mpcf: str | None = None
    pairs_per_prompt: int | None = None

    def __post_init__(self) -> None:
        self._limits(), self._last()

    def without_scores(self) -> list[Filter]:
        """New filters, which remember one pass: those that run before scores are asked for."""
        found = self._limits()
        found += [NotIn(comparisons(), f"leakage, {name}") for name, comparisons in self.not_in.items()]
        return [*found, Deduplicate()] if self.deduplicate else found

    def filters(self, scores: Mapping[str, Scores] | None = None) -> list[Filter]:
        """All filters, new; `scores` by criterion (aesthetic, clip, vqa) are those of MPCF, left out without them."""
        found = self.without_scores()
        if scores and self.mpcf is not None:
            found.append(ConsistentPreference.of(**scores, strength=self.mpcf))
        return [*found, *self._last()]

    def _limits(self) -> list[Filter]:
        found: list[Filter] = [DropTies()] if self.drop_ties else []
        if self.min_confidence is not None:
            found.append(MinimumConfidence(self.min_confidence, self.require_confidence))
        if self.min_votes is not None or self.min_agreement is not None:
            agreement = 0.5 if self.min_agreement is None else self.min_agreement
            found.append(MinimumVotes(1 if self.min_votes is None else self.min_votes, agreement))
        return found

    def _last(self) -> list[Filter]:
        return [] if self.pairs_per_prompt is None else [PairsPerPrompt(self.pairs_per_prompt)]
