"""What was measured of a stored reward model, kept with it: in its card for people, in its config.json for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dina_lrm.cards.measured import Measurement
from dina_lrm.evaluation.results import EvaluationResult
from dina_lrm.locate import locate_reward_model, split_score
from dina_lrm.reward_model.formats import ours
from dina_lrm.rewards.names import is_reward
from dina_lrm.typed import DinaError


def recordable(judges: Iterable[str]) -> dict[str, Path]:
    """The folders of the latent reward models among judges, by judge: results can be recorded with each of them.

    Raises ValueError where there is none, and for a model that this library did not write, or that was changed since.
    """
    names = [name for name in judges if not is_reward(name)]
    if not names:
        raise DinaError("record: none of the judges is a latent reward model; accepted: the folder of one")
    for name in names:
        if not Path(split_score(name)[0]).expanduser().is_dir():
            raise DinaError(f"record: {name!r} is no folder of this machine; accepted: a folder that train wrote")
    found = {name: locate_reward_model(name) for name in names}
    for folder in found.values():
        ours.check_recordable(folder)
    return found


def record_result(folder: Path, result: EvaluationResult) -> Path:
    """Keep the accuracies of a result with the model in `folder`; its card. Raises as `recordable`."""
    ours.record(folder, measurements_of(result))
    return folder / ours.CARD


def measurements_of(result: EvaluationResult) -> Sequence[Measurement]:
    """The accuracy of every test set at every reading, as a card keeps it."""
    version = result.environment.get("dina-lrm")
    more: dict[str, Any] = {"convention": result.convention, "seed": result.seed, "library version": version}
    found = []
    for reading in result.readings:
        for test in result.tests:
            accuracy = test.at(reading).accuracy
            ceiling = {} if test.ceiling is None else {"ceiling": test.ceiling}
            found.append(
                {"set": test.name, "read at": reading.name, "accuracy": accuracy.accuracy}
                | {"low": accuracy.low, "high": accuracy.high, "pairs": accuracy.counted, "data": test.data_hash}
                | ceiling
                | {name: value for name, value in more.items() if value is not None}
            )
    return found
