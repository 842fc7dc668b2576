"""Prompts that are longer than the generator's text encoders read: they end a run, are cut, or are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from dina_lrm.alignment.config import LongPrompts
from dina_lrm.data.held_out import HeldOut
from dina_lrm.data.prompt_sets import PromptSet
from dina_lrm.generators.generator import Generator
from dina_lrm.typed import DinaError

_NAMED: Final = 12
"""How many places are named; all are counted."""


def readable_prompts(
    held: HeldOut, generator: Generator, long_prompts: LongPrompts, say: Callable[[str], None]
) -> HeldOut:
    """The prompts as a run takes them; the generator then cuts what is to be cut.

    Raises ValueError for long ones that are to be refused, naming `--long-prompts`, for empty ones, and where skipping
    leaves none to train on or to look at. `say` is told how many are cut or left out, and which.
    """
    if long_prompts == "refuse":
        trained, shown = held.trained, held.shown
        generator.check_prompts([*trained.prompts, *shown.prompts], [*trained.places, *shown.places])
        return held
    cuts = [generator.cuts_of(part.prompts) for part in (held.trained, held.shown)]
    found = [place for part, cut in zip((held.trained, held.shown), cuts, strict=True) for place in _places(part, cut)]
    count = len(held.trained.prompts) + len(held.shown.prompts)
    if found:
        done = "are cut" if long_prompts == "cut" else "are left out"
        more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        told = "; ".join(found[:_NAMED])
        say(f"{len(found)} of {count} prompts are longer than the text encoders read, and {done}: {told}{more}")
    if long_prompts == "skip":
        held = replace(held, trained=_short(held.trained, cuts[0]), shown=_short(held.shown, cuts[1]))
    else:
        generator.cuts_prompts = True
    generator.check_prompts([*held.trained.prompts, *held.shown.prompts])
    return held


def _places(part: PromptSet, cuts: Sequence[str | None]) -> list[str]:
    places = part.places or [f"{prompt[:60]!r}" for prompt in part.prompts]
    return [place for place, cut in zip(places, cuts, strict=True) if cut]


def _short(part: PromptSet, cuts: Sequence[str | None]) -> PromptSet:
    kept = part.take([row for row, cut in enumerate(cuts) if not cut])
    if not kept.prompts:
        raise DinaError(
            f"--long-prompts skip: all {len(part.prompts)} prompts of a part of {part.name} are longer than the text "
            "encoders read; accepted: cut, or shorter ones"
        )
    return kept
