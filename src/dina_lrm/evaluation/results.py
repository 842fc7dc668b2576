"""The result of an evaluation: plain, frozen, and the same after a round trip through JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dina_lrm.evaluation.accuracy import PairwiseAccuracy
from dina_lrm.evaluation.calibration import Calibration, TruthDistance
from dina_lrm.evaluation.diagnostics import DiagnosticRow
from dina_lrm.evaluation.readings import Reading
from dina_lrm.evaluation.uncertainty import UncertaintyRow
from dina_lrm.typed import DinaError, from_plain, to_plain


@dataclass(frozen=True)
class ScoreHistogram:
    """Raw scores of the preferred and of the other images of strictly labelled pairs; `edges` has one more entry."""

    edges: tuple[float, ...]
    preferred: tuple[int, ...]
    other: tuple[int, ...]


@dataclass(frozen=True)
class Disagreement:
    """A pair that the model is confident about and the label contradicts. `pair` is its row in the set."""

    pair: int
    prompt: str
    score_a: float
    score_b: float
    probability: float
    preference: float
    true_probability: float | None = None


@dataclass(frozen=True)
class TemperatureScaling:
    """What one temperature makes of the probabilities, fitted on these pairs; `calibration` is that of a temperature
    fitted on the other half of the prompts, None where there are too few of them.
    """

    temperature: float
    calibration: Calibration | None
    truth: TruthDistance | None


@dataclass(frozen=True)
class ReadingResult:
    """What a model reaches on one set at one noise level or with one ensemble."""

    reading: Reading
    accuracy: PairwiseAccuracy
    calibration: Calibration
    truth: TruthDistance | None
    scaled: TemperatureScaling
    histogram: ScoreHistogram


@dataclass(frozen=True)
class SetResult:
    """Everything measured on one set.

    `missing` counts comparisons that could not be encoded, beside the pairs. `diagnostic_only`: each pair sets a
    perfect image against one fault, so that the accuracy over all of them means nothing.
    """

    name: str
    pairs: int
    images: int
    missing: int
    ceiling: float | None
    data_hash: str
    notes: tuple[str, ...]
    readings: tuple[ReadingResult, ...]
    diagnostics: tuple[DiagnosticRow, ...]
    disagreements: tuple[Disagreement, ...]
    seconds: float
    diagnostic_only: bool = False
    uncertainty: tuple[UncertaintyRow, ...] = ()
    """What single noise draws differ by, where several were asked for."""

    def at(self, reading: Reading) -> ReadingResult:
        """The result of that reading. Raises ValueError naming those measured."""
        for result in self.readings:
            if result.reading == reading:
                return result
        names = ", ".join(result.reading.name for result in self.readings)
        raise DinaError(f"set {self.name!r} was not read at {reading.name}; readings: {names}")


@dataclass(frozen=True)
class EvaluationResult:
    """One model on all sets, with what is needed to repeat it.

    `reference` is the reading that headlines, diagnostics and disagreements refer to: the model's own noise level
    where it was among those asked for.
    """

    model: str
    description: dict[str, Any]
    reference: Reading
    sets: tuple[SetResult, ...]
    convention: str
    seed: int
    environment: dict[str, str]
    command: str
    seconds: float

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The noise levels and ensembles measured, in the order asked for."""
        return tuple(result.reading for result in self.sets[0].readings)

    @property
    def tests(self) -> tuple[SetResult, ...]:
        """The sets whose accuracy is a result; the others only name faults."""
        return tuple(result for result in self.sets if not result.diagnostic_only)

    def find(self, name: str) -> SetResult | None:
        """The result of that set, None where it was not measured."""
        return next((result for result in self.sets if result.name == name), None)

    def of(self, name: str) -> SetResult:
        """The result of that set. Raises ValueError naming those measured."""
        for result in self.sets:
            if result.name == name:
                return result
        raise DinaError(f"no set {name!r}; sets: {', '.join(result.name for result in self.sets)}")

    def accuracies(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Accuracy by reading and set, with its interval, the set's ceiling and its pairs: what most readers want."""
        return {
            reading.name: {
                measured.name: {
                    "accuracy": measured.at(reading).accuracy.accuracy,
                    "low": measured.at(reading).accuracy.low,
                    "high": measured.at(reading).accuracy.high,
                    "ceiling": measured.ceiling,
                    "pairs": measured.pairs,
                }
                for measured in self.tests
            }
            for reading in self.readings
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps`."""
        return to_plain(self)

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EvaluationResult:
        """The inverse of `to_dict`. Raises ValueError for an unknown key or a value of the wrong type."""
        return from_plain(cls, values, "evaluation")

    @classmethod
    def from_json(cls, text: str) -> EvaluationResult:
        """The inverse of `to_json`."""
        return cls.from_dict(json.loads(text))
