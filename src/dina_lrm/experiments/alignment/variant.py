"""A run of the alignment study, as a row of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from dina_lrm.alignment.config import AlignConfig

Config = TypeVar("Config", bound=AlignConfig)
WINDOW: Final = 5
"""Looks that the alarm takes its trends over."""


@dataclass(frozen=True)
class AlignmentVariant:
    """A run: its name in tables, and its configuration with the seed 0."""

    label: str
    config: Callable[[], AlignConfig]


def looked_at(config: Config, every: int | None = None) -> Config:
    """The same run with the alarm's window of the study, and a look after so many updates where that is told."""
    looks = replace(config.looks, every=every or config.looks.every, window=WINDOW)
    return replace(config, looks=looks)
