"""What comparisons a source holds and what is wrong with them, every image looked at."""

from __future__ import annotations

import hashlib
import os
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from PIL import Image

from dina_lrm.data.comparison import (
    Comparison,
    EncodedImage,
    ImageSource,
    UnreadableImage,
    contradict,
    image_name,
    oriented,
)
from dina_lrm.data.encoding.loading import Task, load_ahead, ready_or_fault
from dina_lrm.data.sources import ReadOptions, Row, layout_told, source_named

Fault = Literal[
    "row", "no picture", "missing image", "corrupt image", "duplicate", "contradiction", "same image", "conflict"
]

_SHOWN_SIZES: Final = 5
_SHOWN_REASONS: Final = 3


@dataclass(frozen=True)
class Problem:
    """Something wrong: a row that is not accepted, an image that cannot be read, or a judgement that says nothing.

    `where` is the file and row, or the image; "no picture" is a cell that holds none, a "missing image" does not exist,
    a "corrupt image" exists and cannot be decoded; `fault` is "duplicate" for a judgement given before, "contradiction"
    for one that prefers the other image than before, "same image" for an image judged against itself, "conflict" for a
    row that contradicts itself.
    """

    fault: Fault
    where: str
    reason: str


class Spread(NamedTuple):
    """Smallest, middle and largest of some numbers."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class CheckReport:
    """What a source holds. Numbers of images and prompts count distinct ones; a ranking has a prompt of its own."""

    rows: int
    unlabelled_rows: int
    """Rows that hold no judgement."""
    pairs: int
    """Judgements in rows that are accepted."""
    ties: int
    soft: int
    """Judgements that are neither certain nor ties."""
    first_preferred: float | None
    """Share of the decided ones that prefer the first image; far from a half, sides must be shuffled."""
    images: int
    missing_images: int
    corrupt_images: int
    sizes: dict[str, int]
    """Images of each size, most frequent first."""
    prompts: int
    words: Spread | None
    """Words of a prompt."""
    comparisons_per_prompt: Spread | None
    sources: dict[str, int]
    same_content: int
    """Images and names of files that show, pixel by pixel, what another one shows."""
    problems: tuple[Problem, ...]
    columns: tuple[str, ...] = ()
    """Columns of the first row that could be parsed."""
    layout: str | None = None
    """How those of a user's own table were read, or which layout is nearest and what it lacks; None for our own."""

    @property
    def refused(self) -> bool:
        """Whether there are rows and not one of them is accepted."""
        return self.rows > 0 and self.count("row") == self.rows

    @property
    def counts(self) -> dict[Fault, int]:
        """Number of problems of each kind, in the order in which the first of each was found."""
        return dict(Counter(problem.fault for problem in self.problems))

    def count(self, fault: Fault) -> int:
        """Number of problems of a kind."""
        return self.counts.get(fault, 0)

    def verdict(self, title: str, listed: Path) -> str | None:
        """Say what is wrong with the source called `title`, in a line that says where it is listed; None = nothing."""
        if not self.problems:
            return f"{title}: holds no row" if self.rows == 0 else None
        if not self.refused:
            told = ", ".join(f"{count} x {fault}" for fault, count in self.counts.items())
            return f"{title}: {len(self.problems)} problems ({told}), listed in {listed}"
        reasons = Counter(problem.reason for problem in self.problems if problem.fault == "row")
        why = "; ".join(f"{count} x {reason:.300}" for reason, count in reasons.most_common(_SHOWN_REASONS))
        return f"{title}: not one of {self.rows} rows is accepted: {why}; all are listed in {listed}"

    def facts(self) -> dict[str, object]:
        """What a reader wants to know, by its name in words."""
        first = "-" if self.first_preferred is None else f"{self.first_preferred:.1%} of the decided"
        sizes = [f"{size} ({count})" for size, count in self.sizes.items()]
        more = [f"and {len(sizes) - _SHOWN_SIZES} more"] if len(sizes) > _SHOWN_SIZES else []
        return {
            "columns": ", ".join(self.columns) or "-",
            "layout": self.layout or "as the source says",
            "rows": f"{self.rows}, {self.unlabelled_rows} without a judgement",
            "pairs": self.pairs,
            "ties": self.ties,
            "soft labels": self.soft,
            "first image preferred": first,
            "images": f"{self.images}, {self.same_content} shown by another file",
            "missing images": self.missing_images,
            "corrupt images": self.corrupt_images,
            "sizes": ", ".join(sizes[:_SHOWN_SIZES] + more) or "-",
            "prompts": self.prompts,
            "words of a prompt": _range(self.words),
            "pairs of a prompt": _range(self.comparisons_per_prompt),
            "sources": ", ".join(f"{name} ({count})" for name, count in self.sources.items()) or "-",
            "rows not accepted": self.count("row"),
            "cells without a picture": self.count("no picture"),
            "repeated": self.count("duplicate"),
            "contradicting": self.count("contradiction"),
            "votes against the named winner": self.count("conflict"),
            "image against itself": self.count("same image"),
        }


def _range(spread: Spread | None) -> str:
    return "-" if spread is None else f"{spread.low:g} to {spread.high:g}, median {spread.median:g}"


def check_comparisons(
    rows: Callable[[], Iterator[Row]],
    source: str = "ours",
    options: ReadOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 8,
) -> CheckReport:
    """Read all rows, whatever is wrong with them, and decode every image once.

    `rows` starts the reading, and is called twice where `progress` wants to know how many there are; that is called
    with (rows done, rows).

    Raises:
        ValueError: an unknown source, or a file that is no table at all.
        FileNotFoundError: when there is no such file.
    """
    check = _Check(source, options or ReadOptions())
    total = sum(1 for _ in rows()) if progress is not None else 0
    with ThreadPoolExecutor(workers) as pool:
        for task, images in load_ahead(check.accepted(rows()), _look_at, pool, check.sizes.__contains__, chunk=64):
            check.add(task, {key: future.result() for key, future in images.items() if key in task.keys})
            if progress is not None:
                progress(check.rows, total)
    return check.report()


class _Seen(NamedTuple):
    """A decoded image: its size, and a hash of its pixels."""

    size: str
    pixels: str


class _Unseen(NamedTuple):
    """Why an image was not decoded."""

    fault: Fault
    reason: str


def _look_at(source: ImageSource) -> _Seen | _Unseen:
    if isinstance(source, UnreadableImage):
        return _Unseen("no picture", source.reason)
    if isinstance(source, str | Path) and not os.path.exists(source):
        return _Unseen("missing image", "no such image file")
    image = ready_or_fault(source)
    if isinstance(image, EncodedImage):
        width, height = image.size
        return _Seen(f"{width}x{height}", hashlib.sha256(image.latents.tobytes()).hexdigest())
    if isinstance(image, Image.Image):
        return _Seen(f"{image.width}x{image.height}", hashlib.sha256(image.tobytes()).hexdigest())
    return _Unseen("corrupt image", image)


class _Check:
    """Everything known of the rows read so far."""

    def __init__(self, source: str, options: ReadOptions) -> None:
        self.source, self.reader, self.options = source, source_named(source), options
        self.rows = self.unlabelled = self.same_content = 0
        self.sizes: dict[str, str | None] = {}
        self._names: set[str] = set()
        self.preferences: list[float] = []
        self.prompts: Counter[str] = Counter()
        self.words: dict[str, int] = {}
        self.sources: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self._where: dict[int, str] = {}
        self._read = 0
        self._contents: set[str] = set()
        self._judged: dict[tuple[str, str, str], float] = {}
        self.columns: tuple[str, ...] = ()
        self.layout: str | None = None

    def accepted(self, rows: Iterator[Row]) -> Iterator[Comparison]:
        """The comparisons of all rows that are accepted; the others become problems."""
        for row in rows:
            self.rows += 1
            if not self.columns and row.fault is None:
                self.columns = tuple(map(str, row.values))
                self.layout = layout_told(self.source, row, self.options)
            try:
                found = self.reader.comparisons(row, self.options)
            except ValueError as error:
                self.problems.append(Problem("row", row.where, str(error).removeprefix(f"{row.where}: ")))
                continue
            self.unlabelled += not found
            conflict = self.reader.conflict(row) if self.reader.conflict is not None else None
            if conflict is not None:
                self.problems.append(Problem("conflict", row.where, conflict))
            for comparison in found:
                self._where[self._read] = row.where
                self._read += 1
                yield comparison

    def add(self, task: Task, images: Mapping[str, _Seen | _Unseen]) -> None:
        """Take an accepted comparison and those of its images that were not looked at before."""
        for key, source in zip(task.keys, task.sources, strict=True):
            new = key not in self.sizes
            if new:
                self._add_image(key, image_name(source), images[key])
            self._add_name(source, new)
        self.preferences.append(task.comparison.preference)
        prompt = task.comparison.prompt_id or task.comparison.prompt
        self.prompts[prompt] += 1
        self.words[prompt] = len(task.comparison.prompt.split())
        if task.comparison.source is not None:
            self.sources[task.comparison.source] += 1
        self._add_judgement(task, self._where.pop(task.number))

    def _add_name(self, source: ImageSource, new: bool) -> None:
        """Count a file that holds, byte by byte, what another one does."""
        if isinstance(source, str | Path) and (name := os.path.abspath(source)) not in self._names:
            self._names.add(name)
            self.same_content += not new

    def _add_image(self, key: str, name: str, seen: _Seen | _Unseen) -> None:
        if isinstance(seen, _Unseen):
            self.sizes[key] = None
            self.problems.append(Problem(seen.fault, name, seen.reason.removeprefix(f"{name}: ")))
            return
        self.sizes[key] = seen.size
        self.same_content += seen.pixels in self._contents
        self._contents.add(seen.pixels)

    def _add_judgement(self, task: Task, where: str) -> None:
        first, second = task.keys
        if first == second:
            self.problems.append(
                Problem("same image", where, f"{image_name(task.sources[0])} is judged against itself")
            )
            return
        key, preference = oriented(task.comparison.prompt, task.keys, task.comparison.preference)
        before = self._judged.get(key)
        if before is None:
            self._judged[key] = preference
        elif contradict(before, preference):
            reason = f"P(first) is {task.comparison.preference:g}, but this pair was judged the other way before"
            self.problems.append(Problem("contradiction", where, reason))
        else:
            self.problems.append(Problem("duplicate", where, "these images were judged for this prompt before"))

    def report(self) -> CheckReport:
        """The whole, when all rows are read."""
        decided = [preference > 0.5 for preference in self.preferences if preference != 0.5]
        faults = Counter(problem.fault for problem in self.problems)
        sizes = Counter(size for size in self.sizes.values() if size is not None)
        return CheckReport(
            rows=self.rows,
            unlabelled_rows=self.unlabelled,
            pairs=len(self.preferences),
            ties=self.preferences.count(0.5),
            soft=sum(preference not in (0.0, 0.5, 1.0) for preference in self.preferences),
            first_preferred=statistics.fmean(decided) if decided else None,
            images=len(self.sizes) - faults["no picture"],
            missing_images=faults["missing image"],
            corrupt_images=faults["corrupt image"],
            sizes=dict(sizes.most_common()),
            prompts=len(self.prompts),
            words=_spread(list(self.words.values())),
            comparisons_per_prompt=_spread(list(self.prompts.values())),
            sources=dict(self.sources.most_common()),
            same_content=self.same_content,
            problems=tuple(self.problems),
            columns=self.columns,
            layout=self.layout,
        )


def _spread(numbers: Sequence[int]) -> Spread | None:
    return Spread(float(min(numbers)), float(statistics.median(numbers)), float(max(numbers))) if numbers else None
