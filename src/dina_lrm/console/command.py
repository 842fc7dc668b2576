"""A row of the table of commands: where its options are described, and which function does its work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from dina_lrm.console.common import CommonArguments
from dina_lrm.runs.imports import collector_at_rest


@dataclass(frozen=True)
class Command:
    """A row of the table."""

    arguments: str
    """The module whose class `Arguments` holds the options, or "module:class"; it imports nothing heavy."""
    job: str
    """The function that does the work, as "module:function": of the arguments, returning what `--json` writes."""
    help: str
    """What the command does, in a line."""
    takes_a_word: bool = False
    """Whether it takes a word of its own though it is a group too: a second word that names no command is that."""
    former: str = ""
    """A command that is gone and whose work this one does."""

    def options(self) -> type[CommonArguments]:
        """The class of its options."""
        module, _, name = self.arguments.partition(":")
        found: type[CommonArguments] = getattr(import_module(module), name or "Arguments")
        return found

    def run(self, arguments: CommonArguments) -> dict[str, object]:
        """Check the arguments, import the function, and do the work; returns the result for `--json`."""
        arguments.check()
        module, _, function = self.job.partition(":")
        with collector_at_rest():
            job: Callable[[CommonArguments], dict[str, object]] = getattr(import_module(module), function)
        return job(arguments)
