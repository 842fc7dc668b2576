"""Completion in real shells: the script is sourced, and what it offers is read."""

import shutil
import subprocess

import pytest

from dina_lrm.cli.commands import COMMANDS
from dina_lrm.console.completion import completed_words, script_for

OFFERED = [
    ("dina-lrm sc", ["score"]),
    ("dina-lrm align f", ["flow-grpo"]),
    ("dina-lrm align refl synthetic-un", ["synthetic-unet"]),
    ("dina-lrm train synthetic-unet", ["synthetic-unet", "synthetic-unet-lrm"]),
    ("dina-lrm train synthetic --optimizer.l", ["--optimizer.lr"]),
    ("dina-lrm score --dtype b", ["bfloat16"]),
    ("dina-lrm sample c", ["curve"]),
    ("dina-lrm sample curve --cand", ["--candidates"]),
    ("dina-lrm sample --meth", ["--method"]),
    ("dina-lrm sample curve --meth", []),
    ("dina-lrm completion f", ["fish"]),
]
BASH = """
source "$1"; shift
for line in "$@"; do
    read -ra COMP_WORDS <<< "$line"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _dina_lrm; echo "${COMPREPLY[*]}"
done
"""
FISH = "source $argv[1]; for line in $argv[2..]; echo (complete -C $line | string replace -r '\\t.*' ''); end"


@pytest.fixture(scope="module")
def words():
    wanted = {line.split()[1] for line, _ in OFFERED}
    return completed_words({name: command for name, command in COMMANDS.items() if name.split()[0] in wanted})


def offered(shell, script, tmp_path, words):
    file = tmp_path / f"script.{shell}"
    file.write_text(script_for(shell, words))
    done = subprocess.run(
        [*script, str(file), *(line for line, _ in OFFERED)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


def test_bash_offers_commands_recipes_options_and_choices(words, tmp_path):
    assert offered("bash", ["bash", "-c", BASH, "bash"], tmp_path, words) == [found for _, found in OFFERED]


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs the shell fish")
def test_fish_offers_the_same(words, tmp_path):
    got = offered("fish", ["fish", "--no-config", "-c", FISH], tmp_path, words)
    assert [sorted(one) for one in got] == [sorted(found) for _, found in OFFERED]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs the shell zsh")
def test_zsh_takes_the_script_for_bash(words, tmp_path):
    (tmp_path / "c.zsh").write_text(script_for("zsh", words))
    said = 'source ./c.zsh && print "${_comps[dina-lrm]}"'
    home = {"HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["zsh", "-f", "-c", said], capture_output=True, text=True, check=True, cwd=tmp_path, env=home)
    assert "_dina_lrm" in done.stdout


def test_every_command_is_offered(words):
    script = script_for("bash", words)
    assert all(f'"{command.name}") name=' in script for command in words)
