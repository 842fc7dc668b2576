"""Every option of every command says what it is for: a name alone helps nobody who does not know it."""

import dataclasses

import pytest

from dina_lrm.cli.commands import COMMANDS
from dina_lrm.console.completion import completed_words
from dina_lrm.synthetic.pretraining.config import PretrainConfig


def settings_of(options, recipe):
    """The options that the numbers of a command's settings have, by their dotted names."""
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    if recipe is not None:
        yield from numbers(options.recipes()[recipe](), "")
    elif "config" in defaults:
        yield from numbers(PretrainConfig(), "config.")
    yield from (f"--{name.replace('_', '-')}" for name in defaults if name not in ("recipe", "config", "config_file"))


def numbers(settings, prefix):
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value) and field.name not in ("backbone", "lora", "sampler"):
            yield from numbers(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"--{name.replace('_', '-')}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name):
    (command,) = completed_words({name: COMMANDS[name]})
    found = {option.names: option.help for option in command.options}
    assert {("-h", "--help"), ("--json",), ("--quiet",)} <= found.keys()
    assert [names for names, said in found.items() if len(said) < 8] == []


@pytest.mark.parametrize("name", ["train", "align refl", "synthetic pretrain", "score"])
def test_every_setting_is_among_them(name):
    (command,) = completed_words({name: COMMANDS[name]})
    found = {one for option in command.options for one in option.names}
    recipe = next(iter(command.recipes), None)
    wanted = set(settings_of(COMMANDS[name].options(), recipe))
    assert wanted <= found and len(wanted) > 10
