"""A tuned generator against its base, from what was measured of both on the same prompts and seeds.

    win rate      mean of 1 [tuned > base] + 1/2 [tuned = base]
    difference    mean of tuned - base

over pairs of pictures of one prompt and seed. Intervals are 95 %, by a bootstrap that draws prompts (Student's where
there are fewer than six): pictures of one prompt are not independent. A value that is not finite is missing; a pair is
counted when neither side is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from dina_lrm.evaluation.bootstrap import interval_of_mean
from dina_lrm.evaluation.interval import Interval, renamed
from dina_lrm.typed import DinaError, from_plain, to_plain

MeasureKind = Literal["reward", "truth", "attribute", "measure"]
"""Whose values these are: a judge's; the oracle's, utility and its parts; of the oracle, what a caption asks for; of
no judge, and neither better nor worse by itself."""
Role = Literal["optimised", "held out", "unknown", ""]
"""What part a reward had in the tuning; "" for what is no reward."""


@dataclass(frozen=True, eq=False)
class PairedValues:
    """One value of each side for each pair; `prompts` numbers the prompt of each. Diversity has one pair a prompt."""

    name: str
    kind: MeasureKind
    base: Float[np.ndarray, " base"]
    tuned: Float[np.ndarray, " tuned"]
    prompts: Int[np.ndarray, " pairs"]
    role: Role = ""


@dataclass(frozen=True)
class MeasureComparison:
    """A measure of both sides, and of their pairs; `win_rate` counts the `ties` half, and is None for what has no
    better side.
    """

    name: str
    kind: MeasureKind
    role: Role
    base: Interval
    tuned: Interval
    difference: Interval
    win_rate: Interval | None
    ties: int


@dataclass(frozen=True)
class GroupComparison:
    """What judges and oracle say of the prompts that belong together, such as those of a category."""

    grouping: str
    group: str
    prompts: int
    comparisons: tuple[MeasureComparison, ...]


@dataclass(frozen=True)
class GeneratorComparison:
    """The result of judging a tuned generator, with what is needed to repeat it."""

    base: str
    tuned: str
    prompt_set: str
    prompts: int
    images_per_prompt: int
    seed: int
    settings: dict[str, str]
    optimised: tuple[str, ...] | None
    """The rewards of the tuning's objective; None where the run that made the LoRA is not known."""
    comparisons: tuple[MeasureComparison, ...]
    groups: tuple[GroupComparison, ...]
    notes: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    command: str = ""
    seconds: float = 0.0

    def find(self, name: str) -> MeasureComparison | None:
        """The comparison of that name, None where it was not made."""
        return next((found for found in self.comparisons if found.name == name), None)

    def of_kind(self, *kinds: MeasureKind) -> list[MeasureComparison]:
        """The comparisons of those kinds."""
        return [found for found in self.comparisons if found.kind in kinds]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        plain: dict[str, Any] = renamed(to_plain(self), {"value": "mean", "n": "counted"})
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GeneratorComparison:
        """The inverse of `to_dict`. Raises ValueError for an unknown key or a value of the wrong type."""
        return from_plain(cls, renamed(values, {"mean": "value", "counted": "n"}), "evaluation")


def compare(values: PairedValues, seed: int = 0) -> MeasureComparison:
    """One measure of both sides. Raises ValueError for sides of different lengths."""
    base, tuned, prompts = values.base, values.tuned, values.prompts
    if not base.shape == tuned.shape == prompts.shape:
        raise DinaError(
            f"{values.name}: {base.shape} values of the base, {tuned.shape} of the tuned and {prompts.shape} prompts; "
            "accepted: one length"
        )
    finite = np.isfinite(base) & np.isfinite(tuned)
    gap = np.where(finite, np.where(finite, tuned, 0.0) - np.where(finite, base, 0.0), np.nan)
    wins = np.where(finite, (np.sign(gap) + 1) / 2, np.nan)
    is_share = values.kind == "attribute"
    return MeasureComparison(
        values.name,
        values.kind,
        values.role,
        _estimate(base, prompts, seed, is_share),
        _estimate(tuned, prompts, seed, is_share),
        _estimate(gap, prompts, seed),
        None if values.kind == "measure" else _estimate(wins, prompts, seed, share=True),
        int((gap == 0).sum()),
    )


def compare_groups(
    values: Sequence[PairedValues], groups: Mapping[str, Sequence[str]], seed: int = 0
) -> tuple[GroupComparison, ...]:
    """Rewards and truth within each group; `groups` says for each grouping where each prompt, by number, belongs."""
    chosen = [each for each in values if each.kind in ("reward", "truth")]
    found = []
    for grouping, belongs in groups.items():
        for group in dict.fromkeys(belongs):
            inside = np.array([each == group for each in belongs])
            compared = tuple(compare(_within(each, inside), seed) for each in chosen)
            found.append(GroupComparison(grouping, group, int(inside.sum()), compared))
    return tuple(found)


def _within(values: PairedValues, inside: np.ndarray) -> PairedValues:
    rows = inside[values.prompts]
    return PairedValues(
        values.name, values.kind, values.base[rows], values.tuned[rows], values.prompts[rows], values.role
    )


def _estimate(
    values: Float[np.ndarray, " pairs"], prompts: Int[np.ndarray, " pairs"], seed: int, share: bool = False
) -> Interval:
    known = np.isfinite(values)
    missing = int((~known).sum())
    if not known.any():
        return Interval(None, None, None, 0, missing)
    return replace(interval_of_mean(values[known], prompts[known], share, seed), missing=missing)
