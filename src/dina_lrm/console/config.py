"""The options of a command whose settings may stand in a file, and whether the words ask for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

import tyro

from dina_lrm.console.common import CommonArguments


@runtime_checkable
class Settings(Protocol):
    """What a recipe gives: a frozen dataclass of plain values."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""

    @classmethod
    def stored_in(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The settings among the plain values of a run's config.json, or of a file that was written by hand."""


@dataclass(kw_only=True)
class ConfigArguments(CommonArguments):
    """Options of a command whose settings may stand in a file; one with a `recipe` names its recipes too."""

    config_file: Annotated[Path | None, tyro.conf.arg(name="config", metavar="FILE")] = None
    """Settings to begin from: a YAML or JSON file of options, the config.json of a run, or the run's folder. Options
    that are given beside it win; without a recipe the file holds all settings, or a line `recipe: NAME`."""
    print_config: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all settings as YAML, which --config reads back, and do nothing else."""

    @classmethod
    def recipes(cls) -> Mapping[str, Callable[[], Settings]]:
        """The recipes of a command that has them, by name."""
        return {}

    @classmethod
    def recipes_for(cls, given: Callable[[str], str | None]) -> Mapping[str, Callable[[], Settings]]:
        """The recipes where `given` says what options are given: one may be made for them."""
        return cls.recipes()


def config_of(words: Sequence[str]) -> str | None:
    """The file that the words name; None where they name none."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--config" and following:
            return following
        if word.startswith("--config="):
            return word.removeprefix("--config=")
    return None


def speaks_of_config(words: Sequence[str]) -> bool:
    """Whether settings are to be read from a file, or printed as one."""
    return config_of(words) is not None or "--print-config" in words
