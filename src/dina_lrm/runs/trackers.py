"""Trackers of a run beside `metrics.jsonl`: TensorBoard, Weights & Biases, Trackio, as accelerate has them.

with RunTrackers(("tensorboard",), run, config.to_dict()) as trackers:
    trackers.log(step, {"loss": loss, "parts": {"clip": score}})       # loss, parts/clip
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from dina_lrm.typed import DinaError

Tracker = Literal["tensorboard", "wandb", "trackio"]


def check_trackers(where: str, names: Sequence[str]) -> None:
    """ValueError naming a tracker that is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise DinaError(f"{where}: {name!r} is not installed; `pip install {name}` or leave it out")


def flat(values: Mapping[str, Any], separator: str = ".", prefix: str = "") -> dict[str, int | float | str | bool]:
    """Nested plain values under joined names; what no tracker holds is text."""
    found: dict[str, int | float | str | bool] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, separator, f"{prefix}{key}{separator}")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, int | float | str | bool) else str(value)
    return found


class RunTrackers:
    """Some trackers of one run, open from the first to the last number; none is allowed. For the main process alone."""

    def __init__(self, names: Sequence[Tracker], folder: Path, settings: Mapping[str, Any]) -> None:
        """Begin or go on; TensorBoard's files lie in `folder`/tensorboard. ValueError for one that is not installed."""
        check_trackers("trackers", names)
        self._trackers = [_opened(name, folder) for name in names]
        for tracker in self._trackers:
            tracker.store_init_configuration(flat(settings))

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Numbers of a step; what is no number is left out."""
        numbers = {name: value for name, value in flat(values, "/").items() if isinstance(value, int | float)}
        for tracker in self._trackers:
            tracker.log(numbers, step=step)

    def __enter__(self) -> RunTrackers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tracker in self._trackers:
            tracker.finish()


def _opened(name: str, folder: Path) -> Any:  # noqa: ANN401 - one of accelerate's trackers
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    if name == "tensorboard":
        tracker = LOGGER_TYPE_TO_CLASS[name](name, str(folder))
    else:
        tracker = LOGGER_TYPE_TO_CLASS[name]("dina-lrm")
    if hasattr(tracker, "start"):
        tracker.start()
    return tracker
