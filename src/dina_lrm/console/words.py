"""The words of a command line into the typed arguments of a command; what is wrong with them in one line."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import io
import itertools
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import tyro

from dina_lrm.console.common import CommonArguments, UserError
from dina_lrm.console.config import ConfigArguments, speaks_of_config
from dina_lrm.screen import escaped

_OPTION = re.compile(r"(--[a-z][\w.-]*)(?:=|$)")
_LISTED = re.compile(r"(?<![\w-])--[a-z][\w.-]*\b")
_MISSING = re.compile(r"^ {6}(\S+).*\n {10}(.*?)(?: \(required\))?\s*$", re.MULTILINE)
_ONE_COLUMN = 128
_CHOICES = re.compile(r"\s*Available subcommands: (.*\S)")


class Help(Exception):
    """Help was asked for: the text to show."""


@dataclasses.dataclass(frozen=True)
class _Command:
    """What words are understood by: the options of a command, and the arguments that the words stand on, if any."""

    name: str
    options: type[CommonArguments]
    begun: CommonArguments | None = None

    def read(self, words: Sequence[str]) -> CommonArguments:
        """The arguments; tyro prints help and faults, and exits."""
        # tyro keeps only the summary of a docstring; the example after it is what people look for
        description, prog = inspect.getdoc(self.options), f"dina-lrm {self.name}"
        if self.begun is None:
            return tyro.cli(self.options, prog=prog, description=description, args=words)
        found = tyro.cli(type(self.begun), prog=prog, description=description, args=words, default=self.begun)
        return self.options(**{each.name: getattr(found, each.name) for each in dataclasses.fields(self.options)})


def parsed(name: str, options: type[CommonArguments], words: Sequence[str]) -> CommonArguments:
    """The command's typed arguments.

    Raises Help with the text that was asked for, and UserError naming every option at fault with the nearest that the
    command has.
    """
    options, words = options.meant(words)
    command, shown, errors = _Command(name, options), _Drawn(), io.StringIO()
    if issubclass(options, ConfigArguments) and speaks_of_config(words):
        from dina_lrm.console.config_file import beginning  # YAML is read where it is asked for

        words, begun = beginning(options, words)
        command = _Command(name, options, begun)
    try:
        with redirect_stdout(shown), redirect_stderr(errors):
            arguments = command.read(words)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise Help(shown.getvalue().rstrip("\n")) from None
        raise UserError(f"{_fault(command, words)}; see dina-lrm {name} --help") from None
    return arguments


def json_target(words: Sequence[str]) -> Path | None:
    """The file of `--json`, among words that may not be understood."""
    for word, following in itertools.zip_longest(words, words[1:]):
        if word == "--json" and following:
            return Path(following)
        if word.startswith("--json=") and word != "--json=":
            return Path(word.removeprefix("--json="))
    return None


def other_words(words: Sequence[str]) -> list[str]:
    """What may be the name of a file in words that may not be understood, but for that of `--json`."""
    others = [word for before, word in zip(["", *words], words, strict=False) if before != "--json"]
    parts = [part for word in others if not word.startswith("--json=") for part in (word, word.partition("=")[2])]
    return [part for part in parts if part]


def repeated(words: Sequence[str]) -> list[str]:
    """A line for each option that is given twice with different values: the last is taken, which is to be said."""
    given: dict[str, str] = {}
    lines = []
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        found = _OPTION.match(word)
        if found is None:
            continue
        option, value = found[1].replace("_", "-"), word[found.end() :] if found[0].endswith("=") else following
        if given.setdefault(option, value) != value:
            lines.append(f"{option} is given twice, as {given[option]!r} and as {value!r}: the last is taken")
            given[option] = value
    return lines


def help_of(name: str, options: type[CommonArguments], words: Sequence[str]) -> str:
    """What tyro says of words that ask for help, without boxes, and narrow enough for a single column."""
    return _said(_Command(name, options), words, _ONE_COLUMN)


def _fault(command: _Command, words: Sequence[str]) -> str:
    """Say what is wrong with the words, in one line."""
    sections = _sections(command, words)
    unknown = [word for section in sections for word in _unknown(section)]
    if unknown:
        dashed = [word for word in unknown if word.startswith("-")]
        choices = [re.split(r",\s*", found[1]) for found in map(_CHOICES.match, sections) if found]
        chosen = command.begun is not None or all(
            field.name != "recipe" for field in dataclasses.fields(command.options)
        )
        if not chosen and unknown[0] == words[0]:  # without a recipe its options are unknown too
            known = choices[0] if choices else re.findall(r"[a-z][\w.-]+", _said(command, ["--help"]))
            hint, accepted = _nearest(unknown[0], known), f"accepted: {', '.join(known)}"
            hint = accepted if hint.startswith("accepted") else f"{hint} {accepted}"
            return f"{escaped(unknown[0])!r} is none of its recipes; {hint}"
        return "; ".join(_with_nearest(word, command, words) for word in dashed or unknown[:1])
    missing = [found for section in sections if "Missing from " in section for found in _MISSING.findall(section)]
    if missing:
        return f"missing: {', '.join(option if option.startswith('-') else told for option, told in missing)}"
    return " ".join((sections[1:] or sections)[0].split()).removeprefix("Error parsing ")


def _unknown(section: str) -> list[str]:
    """Words that no option takes, as tyro lists them: below a heading, or behind it."""
    found = re.search(r"Unrecognized (?:or misplaced )?options:(.*?)(?:\n\s*\n|Arguments are|\Z)", section, re.DOTALL)
    if found is None:
        return []
    return re.split(r",?\s+", re.sub(r"\(applied to [^)]*\)", "", found[1]).strip())


def _with_nearest(given: str, command: _Command, words: Sequence[str]) -> str:
    if not given.startswith("-"):
        return f"{escaped(given)!r}: is one word too many; a text of several words stands in quotes"
    word = given.partition("=")[0]
    return f"unknown option {escaped(word)}; {_nearest(word, _known_options(command, words))}"


def _nearest(given: str, known: Sequence[str]) -> str:
    """Names that begin so, that end so behind a dot, or that are written much like it; else all of a short list."""
    begin = [name for name in known if name.startswith(given)]
    end = [name for name in known if name.rpartition(".")[2] == given.removeprefix("--")]
    bare = {name.lstrip("-"): name for name in known}  # the dashes are alike in all
    like = [bare[name] for name in difflib.get_close_matches(given.lstrip("-"), bare, n=3)]
    near = (begin or end or like)[:3]
    return f"did you mean {' or '.join(near)}?" if near else f"accepted: {', '.join(known[:40])}"


def _known_options(command: _Command, words: Sequence[str]) -> list[str]:
    """The options of the command, or of the recipe that the words name."""
    recipe = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
    for leading in (recipe, []):
        told = _said(command, [*leading, "--help"])
        found = list(dict.fromkeys(_LISTED.findall(told)))
        if found:
            return found
    return []


def _sections(command: _Command, words: Sequence[str]) -> list[str]:
    """What tyro says of words that it refuses: a title, what is wrong, where there is help."""
    return re.split(r"^\s*-{5,}\s*$", _said(command, words), flags=re.MULTILINE)


def _said(command: _Command, words: Sequence[str], width: int = 100_000) -> str:
    out = io.StringIO()  # it has no encoding, so that tyro draws no boxes
    with redirect_stdout(out), redirect_stderr(out), _wide(width), suppress(SystemExit):
        command.read(words)
    return out.getvalue()


class _Drawn(io.StringIO):
    """Text for standard output, as it may be drawn there."""

    def __init__(self) -> None:
        super().__init__()
        self._encoding: str = getattr(sys.stdout, "encoding", None) or "utf-8"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return bool(sys.__stdout__ and not sys.__stdout__.closed and sys.__stdout__.isatty())


@contextmanager
def _wide(width: int) -> Iterator[None]:
    """No line is broken that is shorter: what is printed is read again."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
