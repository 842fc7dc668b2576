"""Every option of every command says what it is for: a name alone helps nobody who does not know it."""

import re

import pytest

from dina_lrm.cli.commands import COMMANDS
from dina_lrm.cli.main import main

DEFAULT = re.compile(r"\((default|required|optional|repeatable|fixed).*", re.DOTALL)


def options_of(text):
    """The options of a help text, each with what is said of it: behind it, or below."""
    found = {}
    for line in text.splitlines():
        row = line.strip("\u2502").rstrip().removeprefix(" ")
        start = re.match(r" ?(-{1,2}\w\S*)(.*?)(?: {2,}(.*))?$", row)
        if start:
            option = start[1].rstrip(",")
            found[option] = start[3] or ""
        elif found and row.startswith("   "):
            found[option] += f" {row.strip()}"
    return {option: DEFAULT.sub("", said).strip() for option, said in found.items()}


def recipe_of(name):
    """The first recipe of a command that has some: its help lists every setting."""
    recipes = getattr(COMMANDS[name].options(), "recipes", dict)()
    return [next(iter(recipes))] if recipes else []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100000")
    assert main([*name.split(), *recipe_of(name), "--help"]) == 0
    found = options_of(capsys.readouterr().out)
    assert {"-h", "--json", "--quiet"} <= found.keys()
    assert [option for option, said in found.items() if len(said) < 8] == []


def test_an_option_without_a_word_is_found():
    text = "\u2502 --name STR \u2502\n\u2502       (default: x) \u2502\n  --lr N  Rate. (default: (1, 2))\n"
    assert options_of(text) == {"--name": "", "--lr": "Rate."}
