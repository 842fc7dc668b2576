"""Finds the command, parses its arguments, runs it, and turns its outcome into an exit code.

Exit codes: 0 done, 1 failed, 2 bad input. `DINA_LRM_DEBUG=1` shows the traceback of a failure.
"""

from __future__ import annotations

import difflib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import tyro

from dina_lrm import __version__
from dina_lrm.cli.common import CommandFailed, CommonArguments
from dina_lrm.cli.result import check_writable, write_json

if TYPE_CHECKING:
    from types import ModuleType

# command -> (module, help): only the module of the chosen command is imported
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("dina_lrm.cli.demo", "The whole path on the bundled world: train, measure, score, report."),
    "doctor": ("dina_lrm.cli.doctor", "Show versions and devices; check that the bundled model scores right."),
    "data check": ("dina_lrm.cli.data_check", "Say what a comparison file holds and what is wrong with it."),
    "data filter": ("dina_lrm.cli.data_filter", "Write the comparisons that pass filters; say what they removed."),
    "prepare": ("dina_lrm.cli.prepare", "Encode comparisons into a cache of latents and conditioning."),
    "train": ("dina_lrm.cli.train", "Train a reward model on comparisons, by a recipe."),
    "evaluate": ("dina_lrm.cli.evaluate", "Measure reward models: accuracy, calibration, what they miss."),
    "calibrate": ("dina_lrm.cli.calibrate", "Fit a temperature, so that win probabilities can be believed."),
    "align refl": ("dina_lrm.cli.align_refl", "Align a generator by the gradient of a reward."),
    "align flow-grpo": ("dina_lrm.cli.align_flow_grpo", "Align a generator by rewards of whole groups of images."),
    "align lpo": ("dina_lrm.cli.align_lpo", "Align a generator by preferences between candidates of single steps."),
    "align dpo": ("dina_lrm.cli.align_dpo", "Align a generator by preferences between its finished samples."),
    "align study": ("dina_lrm.cli.align_study", "Measure alignment on the synthetic world against the truth."),
    "sample": ("dina_lrm.cli.sample", "Sample with a reward: best-of-N, pruned, guided, search of the noise."),
    "sample curve": ("dina_lrm.cli.sample_curve", "Measure best-of-N, pruned and not, against the truth."),
    "evaluate-generator": (
        "dina_lrm.cli.evaluate_generator",
        "Judge a tuned generator beside its base, on the same prompts and seeds.",
    ),
    "ablate": ("dina_lrm.cli.ablate", "Repeat the paper's tables in miniature on the synthetic world."),
    "profile": ("dina_lrm.cli.profile", "Say what scoring, training and aligning cost in FLOPs, time and memory."),
    "score": ("dina_lrm.cli.score", "Score image files for prompts into a table."),
    "compare": ("dina_lrm.cli.compare", "Say which of two images is preferred for a prompt."),
    "convert": ("dina_lrm.cli.convert", "Turn a checkpoint folder released with the paper into ours."),
    "synthetic generate": ("dina_lrm.cli.synthetic_generate", "Write comparisons of the synthetic world as files."),
    "synthetic judge": ("dina_lrm.cli.synthetic_judge", "Train the judge of the synthetic world's pixels."),
    "synthetic uncurate": (
        "dina_lrm.cli.synthetic_uncurate",
        "Train the LoRA that makes the generator draw damaged pictures.",
    ),
    "synthetic pretrain": ("dina_lrm.cli.synthetic_pretrain", "Train the generator of the synthetic world."),
}

# The libraries' notices and loading bars speak to programmers; the bars of downloads stay.
QUIET_LIBRARIES = {"TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}

BAD_INPUT = (ValueError, FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


def main(arguments: Sequence[str] | None = None, commands: Mapping[str, tuple[str, str]] = COMMANDS) -> int:
    """Run the command line and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words in (["--version"], ["-V"]):
        print(f"dina-lrm {__version__}")
        return 0
    name = _command_of(words, commands)
    if name is not None:
        module = import_module(commands[name][0])
        try:
            parsed = _parse(name, module, words[len(name.split()) :])
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 2
        return _run(name, module, parsed)
    group = words[0] if words and _in_group(words[0], commands) else None
    rest = words[1:] if group else words
    if rest[:1] in ([], ["-h"], ["--help"]):
        print(_overview(group, commands), file=sys.stdout if rest else sys.stderr)
        return 0 if rest else 2
    print(_unknown(" ".join(filter(None, (group, rest[0]))), commands), file=sys.stderr)
    return 2


def _in_group(group: str, commands: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    return {name: text for name, (_, text) in commands.items() if name.startswith(f"{group} ")}


def _command_of(words: Sequence[str], commands: Mapping[str, tuple[str, str]]) -> str | None:
    """The name of one or two words that the command line starts with."""
    return next((name for name in (" ".join(words[:2]), " ".join(words[:1])) if name in commands), None)


def _overview(group: str | None, commands: Mapping[str, tuple[str, str]]) -> str:
    listed = _in_group(group, commands) if group else {name: text for name, (_, text) in commands.items()}
    width = max(map(len, listed))
    usage = " ".join(filter(None, ("usage: dina-lrm", group, "COMMAND [OPTIONS]")))
    rows = [f"  {name:<{width}}  {text}" for name, text in listed.items()]
    example = f"dina-lrm {next(iter(listed))} --help"
    return "\n".join([usage, "", "Commands:", *rows, "", f"Options and an example of a command: {example}"])


def _unknown(given: str, commands: Mapping[str, tuple[str, str]]) -> str:
    close = difflib.get_close_matches(given, commands, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"the commands are {', '.join(commands)}"
    return f"dina-lrm: error: unknown command {given!r}; {hint}"


def _parse(name: str, module: ModuleType, words: Sequence[str]) -> CommonArguments:
    """The command's typed arguments; raises SystemExit after its help (0) or a message about an option (2)."""
    # tyro keeps only the summary of a docstring; the example after it is what people look for
    description = inspect.getdoc(module.Arguments)
    arguments: CommonArguments = tyro.cli(
        module.Arguments, prog=f"dina-lrm {name}", description=description, args=words
    )
    return arguments


def _run(name: str, module: ModuleType, arguments: CommonArguments) -> int:
    for variable, value in QUIET_LIBRARIES.items():
        os.environ.setdefault(variable, value)
    try:
        check_writable(arguments.json)
        write_json(arguments.json, module.run(arguments))
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("DINA_LRM_DEBUG") == "1":
            raise
        message = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or repr(error)
        print(f"dina-lrm {name}: error: {message}", file=sys.stderr)
        found = error.result if isinstance(error, CommandFailed) else {}
        write_json(arguments.json, {**found, "error": message})
        return 2 if isinstance(error, BAD_INPUT) else 1
    return 0
