"""Where a command computes, in what type, and how it holds text encoders: the same words everywhere."""

from dataclasses import fields
from importlib import import_module

import pytest

from dina_lrm.cli.commands import COMMANDS

OF_NO_MODEL = {
    *("data check", "data filter", "cache verify", "cache info", "convert", "push", "completion", "vote", "integrate"),
    "synthetic generate",
}
BUNDLED = {"demo", "doctor", "ablate", "align study", "sample curve", "synthetic judge", "synthetic uncurate"}
BUNDLED |= {"synthetic pretrain"}
"""Of the bundled world alone, which is made for a processor."""
ENCODES_FILES = {"prepare", "score", "evaluate"}


def options_of(command: str) -> set[str]:
    module, _, name = COMMANDS[command].arguments.partition(":")
    return {field.name for field in fields(getattr(import_module(module), name or "Arguments"))}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_what_loads_a_model_can_be_told_where_and_in_what_type(command: str) -> None:
    given = options_of(command)
    if command in OF_NO_MODEL or command in BUNDLED or command.startswith("cache"):
        return
    assert {"device", "dtype"} <= given
    assert ({"offload_encoders", "t5_weights"} <= given) == (command in ENCODES_FILES)
