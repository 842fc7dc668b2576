"""What the folder of an alignment run says of it, and whether a run may go on in it.

config.json     the settings
prompts.json    hashes of the prompts, and of what generator and rewards hold
scales.json     mean and deviation of each reward before anything was learned, where there are several
measured.json   what the algorithm measured of the generator then, where it does
outcome.json    how it ended
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.rewards.addresses import without_passwords
from dina_lrm.runs.files import clear_litter, write_json
from dina_lrm.runs.folder import CONFIG, check_same_settings, holds_run
from dina_lrm.runs.json_files import read_json_object, read_record
from dina_lrm.runs.later_settings import with_later_settings
from dina_lrm.typed import DinaError, from_plain

_PROMPTS: Final = "prompts.json"
_SCALES: Final = "scales.json"
_MEASURED: Final = "measured.json"
_OUTCOME: Final = "outcome.json"
_RESULTS: Final = ("monitor.jsonl", "lora", "loras")
"""What a run writes over as it goes on, beside what every run does."""
_FREE_TO_CHANGE: Final = ("name", "checkpoint_every", "trackers")
"""Settings that a run that goes on may change: they say how visibly, not what is learned."""


@dataclass(frozen=True)
class RunOutcome:
    """How far a run is. `stopped` says which alarm stopped it; `lora_step` which look lora/ is of, once it is there."""

    steps: int
    stopped: str | None = None
    lora_step: int | None = None
    interrupted: str | None = None
    """The signal that ended it early; its state is saved, and it can go on."""


@dataclass(frozen=True)
class _Told:
    """A JSON object of one kind of value, as a record."""

    values: dict[str, str]


@dataclass(frozen=True)
class _Scales:
    values: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class RunFolder:
    """The files of one run; `told` says by name what else than its settings has to stay as it is."""

    path: Path
    config: AlignConfig
    told: Mapping[str, str]

    def check(self, resume: bool) -> list[str]:
        """What should be said of a run that goes on here.

        Raises FileExistsError for a run in the way, ValueError for one with other settings, prompts, generator or
        rewards, and for files that cannot be read.
        """
        if not holds_run(self.path, resume, _RESULTS):
            return []
        found = with_later_settings(without_passwords(read_json_object(self.path / CONFIG)), self.config)
        if isinstance(found.get("steps"), int) and found["steps"] < self.config.steps:
            # A run may be prolonged: what is drawn depends on the step alone, and nothing on how many there will be
            found["steps"] = self.config.steps
        check_same_settings(self.path, found, self.config.to_dict(), _FREE_TO_CHANGE)
        return self._check_told()

    def _check_told(self) -> list[str]:
        stored = self.path / _PROMPTS
        known = _read_told(stored) if stored.is_file() else {}
        other = [what for what, told in known.items() if self.told.get(what) != told]
        if other:
            raise DinaError(f"{stored}: the run was started with other {' and '.join(other)}")
        unknown = [what for what in self.told if what not in known]
        return [f"{stored}: nothing is known of the {' and '.join(unknown)} it began with"] if unknown else []

    def begin(self) -> None:
        """Write what the run is, where that is not there yet; only once nothing will refuse the run any more."""
        clear_litter(self.path)
        for name, values in ((CONFIG, self.config.to_dict()), (_PROMPTS, dict(self.told))):
            file = self.path / name
            if not file.is_file() or read_json_object(file) != values:
                write_json(file, values)

    def has_scales(self) -> bool:
        """Whether they were measured before."""
        return (self.path / _SCALES).is_file()

    def write_scales(self, scales: Mapping[str, tuple[float, float]]) -> None:
        """Keep them: they must be the same when the run goes on."""
        write_json(self.path / _SCALES, {name: list(pair) for name, pair in scales.items()})

    def scales(self) -> dict[str, tuple[float, float]]:
        """Mean and deviation of each reward. ValueError naming the file and the key at fault."""
        return _read_pairs(self.path / _SCALES)

    def has_measured(self) -> bool:
        """Whether what the algorithm measures was measured before."""
        return (self.path / _MEASURED).is_file()

    def write_measured(self, measured: Mapping[str, tuple[float, float]]) -> None:
        """Keep it: it must be the same when the run goes on."""
        write_json(self.path / _MEASURED, {name: list(pair) for name, pair in measured.items()})

    def measured(self) -> dict[str, tuple[float, float]]:
        """What was kept, nothing where there is no file. ValueError naming the file and the key at fault."""
        return _read_pairs(self.path / _MEASURED) if self.has_measured() else {}

    def finish(self, outcome: RunOutcome) -> None:
        """Say how the run ended."""
        values = asdict(outcome)
        del values["interrupted"]
        write_json(self.path / _OUTCOME, values)

    def finished(self) -> RunOutcome | None:
        """How the run ended, unless it is prolonged."""
        file = self.path / _OUTCOME
        if not file.is_file():
            return None
        found = read_record(RunOutcome, file)
        return found if found.stopped or found.steps >= self.config.steps else None


def fingerprint(prompts: Sequence[str]) -> str:
    """Their number and a hash of them in their order."""
    return f"{len(prompts)}, sha256 {sha256(json.dumps(list(prompts)).encode()).hexdigest()}"


def _read_told(file: Path) -> dict[str, str]:
    return from_plain(_Told, {"values": read_json_object(file)}, str(file)).values


def _read_pairs(file: Path) -> dict[str, tuple[float, float]]:
    return from_plain(_Scales, {"values": read_json_object(file)}, str(file)).values
