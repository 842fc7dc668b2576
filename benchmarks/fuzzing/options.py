"""Nonsense on the command line: values that no option takes, options that no command has, names of all sorts."""

from __future__ import annotations

import io
import random
import re
from contextlib import redirect_stdout
from functools import cache

from dina_lrm.cli.commands import COMMANDS
from dina_lrm.cli.main import main

Nonsense = tuple[list[str], str, frozenset[int]]
ANY, REFUSED = frozenset({0, 1, 2}), frozenset({2})
# A short run of each command; those without a short one are only asked for what must be refused
SHORT = {
    "score": "score --images images --prompts a --model synthetic --out out.csv",
    "compare": "compare images/a.png images/b.png --prompt a",
    "data check": "data check comparisons.jsonl",
    "data filter": "data filter comparisons.jsonl --drop-ties --out out.jsonl",
    "prepare": "prepare comparisons.jsonl --backbone synthetic --out out",
    "evaluate": "evaluate sharpness --on comparisons.jsonl --out out",
    "calibrate": "calibrate synthetic --on synthetic:validation --pairs 40 --out out",
    "sample": "sample --prompts a -n 2 --steps 2 --out out",
    "synthetic generate": "synthetic generate --prompts 2 --images 2 --out out",
    "convert": "convert model out",
    "doctor": "doctor",
}
LONG = {
    "demo": "demo --out out",
    "train": "train synthetic --data cache --out out --steps 1",
    "align refl": "align refl synthetic --prompts synthetic --out out",
    "align flow-grpo": "align flow-grpo synthetic --prompts synthetic --out out",
    "align lpo": "align lpo synthetic --prompts synthetic --out out",
    "align dpo": "align dpo synthetic --prompts synthetic --out out",
    "align nft": "align nft synthetic --prompts synthetic --out out",
    "align awm": "align awm synthetic --prompts synthetic --out out",
    "align craft": "align craft synthetic --prompts synthetic --out out",
    "align crd": "align crd synthetic --prompts synthetic --out out",
    "align dgpo": "align dgpo synthetic --prompts synthetic --out out",
    "align study": "align study hacking --out out",
    "sample curve": "sample curve --out out",
    "evaluate-generator": "evaluate-generator synthetic synthetic --prompts synthetic --count 1 --out out",
    "ablate": "ablate depth --out out",
    "profile": "profile sd3.5-medium --resolution 64 --batch-sizes 1",
    "synthetic judge": "synthetic judge --out out",
    "synthetic uncurate": "synthetic uncurate --out out",
    "synthetic pretrain": "synthetic pretrain --out out",
}
NO_NUMBER = {"INT": ("nan", "inf", "", "1e30", "1.5", "x"), "FLOAT": ("", "x", "nan", "inf", "-inf", "1e400")}
ODD = ("-1", "0", "1" + "0" * 30)
MAY_BE_NEGATIVE = ("--lora-scale", "--guidance", "--reward-level", "--strength")
PATHS = {
    "score": ("--images", "--out", "--model", "--prompts", "--json"), "compare": ("--model", "--json", "--backbone"),
    "data check": ("--problems", "--json", "--images"), "data filter": ("--out", "--json", "--not-in"),
    "prepare": ("--out", "--json", "--backbone", "--images"), "evaluate": ("--out", "--json", "--on", "--data"),
    "calibrate": ("--out", "--json", "--on", "--backbone"), "sample": ("--out", "--lora", "--json", "--generator"),
    "synthetic generate": ("--out", "--json"), "convert": ("--json", "--backbone"), "doctor": ("--json",),
}  # fmt: skip


def nonsense(rng: random.Random) -> Nonsense:
    """A numeric option of a command with a value that it cannot take, or can hardly take."""
    name = rng.choice(sorted(SHORT | LONG))
    words = (SHORT | LONG)[name].split()
    found = numeric(name)
    if not found:
        return [*words, "--quiet=maybe"], "a flag with a value", REFUSED
    option, kind = rng.choice(found)
    value = rng.choice(NO_NUMBER[kind] if name in LONG else (*NO_NUMBER[kind], *ODD))
    codes = REFUSED if value in NO_NUMBER[kind] or (value == "-1" and option not in MAY_BE_NEGATIVE) else ANY
    return [*without(words, option), f"{option}={value}"], f"{option}={value!r}", codes


def misspelt(rng: random.Random) -> Nonsense:
    """A word that is none, an option that is none, one without its value, one left out."""
    name = rng.choice(sorted(SHORT | LONG))
    words = (SHORT | LONG)[name].split()
    accident = rng.choice(("option", "command", "value", "word", "missing"))
    if accident == "option":
        option = rng.choice([word for word in all_options(name) if word != "--help"])
        wrong = option[:-1] + rng.choice("xyz") if len(option) < 6 else option[:3] + option[4:]
        return [*words, wrong, "1"], f"unknown {wrong}", REFUSED
    if accident == "command":
        at = rng.randrange(len(name.split()))
        words[at] = words[at][:-1] + rng.choice(("", "x", words[at][-1] * 2))
    elif accident == "value":
        words.append(rng.choice(("--json", "--seed", "--out")))
    elif accident == "word":
        words.append(rng.choice(("one", "more", "-", "")))
    else:
        words = words[: len(name.split())] + (["--quiet"] if rng.random() < 0.5 else [])
        return words if name != "demo" else ["align"], "nothing given", ANY if name == "doctor" else REFUSED
    return words, f"{accident}: {words[-1]!r}", REFUSED


def named(name: str, rng: random.Random) -> Nonsense:
    """A path of a command with a name of a strange kind, whether there is something of that name or not."""
    command = rng.choice(sorted(PATHS))
    option = rng.choice(PATHS[command])
    value = f"./{name}{rng.choice(('', '', '.csv', '.jsonl'))}" if rng.random() < 0.9 else ""
    return [*without(SHORT[command].split(), option), f"{option}={value}"], f"{option}={value!a:.60}", ANY


def without(words: list[str], option: str) -> list[str]:
    """The words without an option and its value."""
    if option not in words:
        return words
    at = words.index(option)
    return words[:at] + words[at + 2 :]


@cache
def numeric(name: str) -> list[tuple[str, str]]:
    """The options of a command that take one number, with the kind of it."""
    found = re.findall(r"(--[a-z][\w.-]*) (?:\{None\}\|)?(INT|FLOAT)\b(?! \[)", _help(name))
    return sorted(set(found))


@cache
def all_options(name: str) -> list[str]:
    """The options of a command."""
    return sorted(set(re.findall(r"--[a-z][\w.-]*", _help(name))))


@cache
def _help(name: str) -> str:
    assert name in COMMANDS
    recipe = [(SHORT | LONG)[name].split()[len(name.split())]] if name.startswith(("train", "align")) else []
    shown = io.StringIO()
    with redirect_stdout(shown):
        main([*name.split(), *(recipe if recipe != ["hacking"] else []), "--help"])
    return shown.getvalue()
