"""Finds the command, parses its arguments, runs it, and turns its outcome into an exit code.

Exit codes: 0 done, 1 failed, 2 bad input. `DINA_LRM_DEBUG=1` shows the traceback of a failure.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from dina_lrm import __version__
from dina_lrm.console.command import Command
from dina_lrm.console.common import CommandFailed, CommonArguments, UserError
from dina_lrm.console.config import ConfigArguments
from dina_lrm.console.ending import code_of, line_of
from dina_lrm.console.notices import notices
from dina_lrm.console.numbers import check_numbers
from dina_lrm.console.result import begin_json, keep_json, write_json
from dina_lrm.console.words import Help, json_target, other_words, parsed, repeated
from dina_lrm.runs.imports import leave_quickly
from dina_lrm.runs.lock import held_name
from dina_lrm.runs.stopping import stopped_by_signals
from dina_lrm.screen import escaped, held_back, leave_broken_streams, say

# The libraries' notices and loading bars speak to programmers; the bars of downloads stay.
LOUD_LIBRARIES = {"TRANSFORMERS_VERBOSITY": "warning", "DIFFUSERS_VERBOSITY": "warning"}
QUIET_LIBRARIES = {"TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}


def run(words: Sequence[str], commands: Mapping[str, Command]) -> int:
    """Run the command that the words of a command line begin with; returns the exit code."""
    verbose = not {"-v", "--verbose"}.isdisjoint(words)
    for variable, value in (LOUD_LIBRARIES if verbose else QUIET_LIBRARIES).items():
        os.environ.setdefault(variable, value)  # now: they are read as libraries are imported, which recipes may do
    leave_quickly()
    try:
        with stopped_by_signals():
            return _main(list(words), commands)
    finally:
        leave_broken_streams()


def _main(words: list[str], commands: Mapping[str, Command]) -> int:
    if words in (["--version"], ["-V"]):
        say(f"dina-lrm {__version__}")
        return 0
    name = _command_of(words, commands)
    if name is not None:
        return _named(name, commands[name], words[len(name.split()) :])
    group = words[0] if words and _in_group(words[0], commands) else None
    rest = words[1:] if group else words
    if rest[:1] in (["-h"], ["--help"]):
        say(_overview(group, commands))
        return 0
    if not rest:
        say(_overview(group, commands), "stderr")
        say(f"dina-lrm: error: {f'{group}: ' if group else ''}no command was given", "stderr")
        return 2
    error = _unknown(group, rest[0], commands)
    _keep_error(json_target(words), {"error": error}, words)
    say(f"dina-lrm: error: {error}", "stderr")
    return 2


def _named(name: str, command: Command, words: list[str]) -> int:
    """Parse the words of a command, and run it."""
    try:
        arguments = parsed(name, command.options(), words)
    except Help as asked:
        say(str(asked))
        return 0
    except BaseException as error:
        return _failed(name, error, lambda told: _keep_error(json_target(words), told, words))
    for line in repeated(words):
        say(f"dina-lrm {name}: warning: {escaped(line)}", "stderr")
    if isinstance(arguments, ConfigArguments) and arguments.print_config:
        return _print_config(name, arguments)
    return _run(name, command, arguments)


def _print_config(name: str, arguments: ConfigArguments) -> int:
    from dina_lrm.console.config_file import (  # YAML is written where it is asked for
        config_text,
        config_values,
        needed_of,
    )

    try:
        check_numbers(arguments)
        settings, needed = config_values(arguments), needed_of(arguments)
        begin_json(arguments.json, _places(arguments))
        write_json(arguments.json, {"config": settings, "needed": needed})
    except BaseException as error:
        return _failed(name, error, lambda _: None)
    say(config_text(arguments).rstrip("\n"))
    return 0


def _in_group(group: str, commands: Mapping[str, Command]) -> dict[str, str]:
    return {name: command.help for name, command in commands.items() if name.startswith(f"{group} ")}


def _command_of(words: Sequence[str], commands: Mapping[str, Command]) -> str | None:
    """The name of one or two words that the command line starts with."""
    two, one = " ".join(words[:2]), " ".join(words[:1])
    if two in commands:
        return two
    # Of a group, another word would be a command that does not exist, where its own command takes none
    another = len(words) > 1 and not words[1].startswith("-") and _in_group(one, commands)
    return one if one in commands and (not another or commands[one].takes_a_word) else None


def _overview(group: str | None, commands: Mapping[str, Command]) -> str:
    listed = _in_group(group, commands) if group else {name: command.help for name, command in commands.items()}
    width = max(map(len, listed))
    usage = " ".join(filter(None, ("usage: dina-lrm", group, "COMMAND [OPTIONS]")))
    rows = [f"  {name:<{width}}  {text}" for name, text in listed.items()]
    example = f"dina-lrm {next(iter(listed))} --help"
    return "\n".join([usage, "", "Commands:", *rows, "", f"Options and an example of a command: {example}"])


def _unknown(group: str | None, given: str, commands: Mapping[str, Command]) -> str:
    known = list(_in_group(group, commands)) if group else list(commands)
    if group and given.startswith("-"):
        return f"{group}: which command? {escaped(given)!r} is an option; the commands are {', '.join(known)}"
    word = escaped(f"{group} {given}" if group else given)
    now = next((name for name, command in commands.items() if command.former == word), None)
    if now is not None:
        return f"{word} is now {now}, which takes other options: dina-lrm {now} --help"
    close = difflib.get_close_matches(word, known, n=3) or difflib.get_close_matches(word, commands, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"the commands are {', '.join(known)}"
    return f"unknown command {word!r}; {hint}"


def _run(name: str, command: Command, arguments: CommonArguments) -> int:
    try:
        _check_standing()
        begin_json(arguments.json, _places(arguments))
    except BaseException as error:
        return _failed(name, error, lambda _: None)
    with held_back():
        try:
            check_numbers(arguments)
            if arguments.quiet and arguments.verbose:
                raise UserError("--quiet and --verbose were both given; accepted: one of them")
            told = notices(name, arguments.quiet, arguments.verbose)
            claimed = arguments.claims()
            with told, held_name(claimed) if claimed is not None else nullcontext():
                result = command.run(arguments)
            keep_json(arguments.json, result, name, _places(arguments))
        except BaseException as error:
            return _failed(name, error, lambda told: keep_json(arguments.json, told, name, _places(arguments)))
    return 0


def _check_standing() -> None:
    """UserError in a folder that was removed: no name means anything there, and C libraries end the process."""
    try:
        os.getcwd()
    except OSError as error:
        raise UserError("the folder where you are is there no more; accepted: another one (cd)") from error


def _failed(name: str, error: BaseException, keep: Callable[[dict[str, object]], None]) -> int:
    """Keep the error where `--json` asks for it, say it in a line, and return its exit code."""
    message, found = line_of(error), error.result if isinstance(error, CommandFailed) else {}
    try:
        keep({**found, "error": message})
    except Exception as another:
        message += "" if line_of(another) == message else f"; --json cannot be written: {line_of(another)}"
    if os.environ.get("DINA_LRM_DEBUG") == "1":
        raise error
    say(f"dina-lrm {name}: error: {message}", "stderr")
    return code_of(error)


def _keep_error(path: Path | None, told: dict[str, object], words: Sequence[str]) -> None:
    """The error of words that were not understood; no file that one of them names is touched."""
    try:
        begin_json(path, other_words(words))
    except ValueError:
        return  # that the target is none either comes when the words are right
    write_json(path, told)


def _places(values: object) -> Iterator[str | Path]:
    """What the arguments name, and the settings among them: files among it."""
    for field in dataclasses.fields(values):  # type: ignore[arg-type]
        value = getattr(values, field.name)
        if field.name == "settings":
            yield from _places(value)
        elif field.name != "json":
            several = value if isinstance(value, tuple | list) else [value]
            yield from (one for one in several if isinstance(one, str | Path))
