"""Completion of commands, recipes, options and their choices in a shell: a script that is made once, from the help.

    words = completed_words(COMMANDS)
    script_for("bash", words)        # to be sourced; `dina-lrm completion bash` prints it

Nothing is asked of the program while somebody types: all names stand in the script.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from dina_lrm.console.command import Command
from dina_lrm.console.config import ConfigArguments
from dina_lrm.console.words import help_of

Shell = Literal["bash", "zsh", "fish"]
_ROW: Final = re.compile(r" {2}(-{1,2}[A-Za-z].*?)(?: {2,}(.*))?$")
_BELOW: Final = " " * 6
_DEFAULT: Final = re.compile(r"\((?:default|required|repeatable)\b.*", re.DOTALL)
_WORD: Final = re.compile(r"[\w.-]+")
_NAME: Final = re.compile(r"(?<![\w-])(--?[A-Za-z][\w.-]*)")
_CHOICES: Final = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class CompletedOption:
    """An option: its names, what it accepts where that is a choice, whether it takes a value, and what it is for."""

    names: tuple[str, ...]
    choices: tuple[str, ...]
    takes_value: bool
    help: str


@dataclass(frozen=True)
class CompletedCommand:
    """A command of one or two words, with its recipes, or what else it is to be told first, and its options."""

    name: str
    help: str
    recipes: tuple[str, ...]
    options: tuple[CompletedOption, ...]

    @property
    def words(self) -> str:
        """All that may follow the command."""
        return " ".join([*self.recipes, *(name for option in self.options for name in option.names)])


def completed_words(commands: Mapping[str, Command]) -> tuple[CompletedCommand, ...]:
    """What may be completed after each command, as its help lists it; with a recipe every setting is listed."""
    found = []
    for name, command in commands.items():
        options = command.options()
        recipes = tuple(options.recipes()) if issubclass(options, ConfigArguments) else ()
        text = help_of(name, options, [*recipes[:1], "--help"])
        found.append(CompletedCommand(name, command.help, recipes or _chosen(text), tuple(_options(text))))
    return tuple(found)


def _chosen(text: str) -> tuple[str, ...]:
    """The words of a positional argument that is a choice."""
    found = re.search(r"^ {2}\{([^{}]+)\} ", text, re.MULTILINE)
    return tuple(found[1].split(",")) if found else ()


def _options(text: str) -> Iterator[CompletedOption]:
    for named, said in _rows(text):
        metavar = _NAME.sub("", named).strip(" ,|")
        choices = [one.strip() for group in _CHOICES.findall(metavar) for one in group.split(",")]
        yield CompletedOption(
            tuple(_NAME.findall(named)),
            tuple(dict.fromkeys(one for one in choices if one != "None" and _WORD.fullmatch(one))),
            bool(metavar),
            _DEFAULT.sub("", said).strip(),
        )


def _rows(text: str) -> Iterator[tuple[str, str]]:
    """The options of a help text, each with what is said of it: behind it, or below."""
    named, said = "", ""
    for line in text.splitlines():
        found = _ROW.match(line.rstrip())
        if found or not line.startswith(_BELOW):
            if named:
                yield named, said
            named, said = (found[1], found[2] or "") if found else ("", "")
        else:
            said = f"{said} {line.strip()}".strip()
    if named:
        yield named, said


def script_for(shell: Shell, commands: Iterable[CompletedCommand]) -> str:
    """The script of a shell; it completes `dina-lrm`."""
    makers: Mapping[Shell, Callable[[tuple[CompletedCommand, ...]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    return makers[shell](tuple(commands))


_BASH: Final = """\
# dina-lrm completion bash
_dina_lrm() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local one=${COMP_WORDS[1]} two="${COMP_WORDS[1]} ${COMP_WORDS[2]}" name="" words="" choices=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="FIRSTS --help --version"
    elif [ "$COMP_CWORD" -eq 2 ]; then
        case "$one" in
GROUPS
        esac
    fi
    case "$two" in
TWOS
    esac
    [ -n "$name" ] || case "$one" in
ONES
    esac
    case "$name $before" in
CHOICES
    esac
    COMPREPLY=($(compgen -W "${choices:-$words}" -- "$current"))
}
complete -o default -o bashdefault -F _dina_lrm dina-lrm
"""


def _bash(commands: tuple[CompletedCommand, ...]) -> str:
    row, after = '        "{}") name="{}"; words="$words {}" ;;', '        "{} {}") choices="{}" ;;'
    rows = {command.name: row.format(command.name, command.name, command.words) for command in commands}
    parts = {
        "FIRSTS": " ".join(dict.fromkeys(name.split()[0] for name in rows)),
        "GROUPS": "\n".join(
            f'            "{one}") words="{" ".join(two)}" ;;' for one, two in _groups(commands).items()
        ),
        "TWOS": "\n".join(told for name, told in rows.items() if " " in name),
        "ONES": "\n".join(told for name, told in rows.items() if " " not in name),
        "CHOICES": "\n".join(
            after.format(command.name, name, " ".join(option.choices))
            for command in commands
            for option in command.options
            for name in option.names
            if option.choices
        ),
    }
    return re.sub("|".join(parts), lambda found: parts[found[0]], _BASH)


def _zsh(commands: tuple[CompletedCommand, ...]) -> str:
    begin = (
        "# dina-lrm completion zsh\nautoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
    )
    return begin + _bash(commands).split("\n", 1)[1]


def _fish(commands: tuple[CompletedCommand, ...]) -> str:
    lines = ["# dina-lrm completion fish", "complete -c dina-lrm -n __fish_use_subcommand -f -a '--help --version'"]
    groups = _groups(commands)
    for group in groups:
        lines.append(f"complete -c dina-lrm -n __fish_use_subcommand -f -a {group} -d {_quoted(f'{group} ...')}")
    for command in commands:
        first, _, second = command.name.partition(" ")
        told = _quoted(command.help.rstrip("."))
        if second:
            others = " ".join(groups[first])
            begun = f"__fish_seen_subcommand_from {first}; and not __fish_seen_subcommand_from {others}"
            lines.append(f"complete -c dina-lrm -n '{begun}' -f -a {second} -d {told}")
        elif first not in groups:
            lines.append(f"complete -c dina-lrm -n __fish_use_subcommand -f -a {first} -d {told}")
        lines += _fish_options(command, first, second, groups)
    return "\n".join([*lines, ""])


def _fish_options(command: CompletedCommand, first: str, second: str, groups: Mapping[str, list[str]]) -> Iterable[str]:
    seen = f"__fish_seen_subcommand_from {first}"
    if second:
        seen += f"; and __fish_seen_subcommand_from {second}"
    elif first in groups:
        seen += f"; and not __fish_seen_subcommand_from {' '.join(groups[first])}"
    if command.recipes:
        yield f"complete -c dina-lrm -n '{seen}' -f -a {_quoted(' '.join(command.recipes))}"
    for option in command.options:
        names = " ".join(
            f"-l {name.removeprefix('--')}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
        )
        value = f" -x -a {_quoted(' '.join(option.choices))}" if option.choices else " -r" if option.takes_value else ""
        yield f"complete -c dina-lrm -n '{seen}' {names}{value} -d {_quoted(_short(option.help))}"


def _groups(commands: Iterable[CompletedCommand]) -> dict[str, list[str]]:
    """The second words that may follow a first one."""
    groups: dict[str, list[str]] = {}
    for command in commands:
        first, _, second = command.name.partition(" ")
        if second:
            groups.setdefault(first, []).append(second)
    return groups


def _short(text: str) -> str:
    """Up to the first full stop or semicolon."""
    return re.split(r"[.;:](?: |$)", text)[0][:80]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
