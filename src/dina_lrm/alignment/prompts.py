"""The prompts of an alignment by name: those that are trained on, and those that are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dina_lrm.data.held_out import HeldOut, hold_out_last, without
from dina_lrm.data.prompt_sets import PromptSet
from dina_lrm.data.sources.tables import FORMATS
from dina_lrm.synthetic.prompts import prompts_of
from dina_lrm.typed import DinaError

SYNTHETIC_PROMPTS: Final = 2_000
"""How many prompts of the synthetic world a run draws from."""


def held_prompts(
    prompts: str, looks: str | None, wanted: int, seed: int = 0, columns: Mapping[str, str] | None = None
) -> HeldOut:
    """The prompts of a text file, a published table or folder, or "synthetic", of which none is looked at.

    `wanted` are looked at: those of `looks`, or else the last ones. `columns` maps the prompts of a table, as in
    {"prompt": "title"}. Raises ValueError where too few are left to train
    on, FileNotFoundError for a name of nothing.
    """
    drawn = prompts_of(prompts, [seed, 7], SYNTHETIC_PROMPTS + (wanted if looks is None else 0), columns)
    if looks is None:
        try:
            return hold_out_last(drawn, wanted)
        except ValueError as error:
            raise DinaError(
                f"--prompts {prompts}: {error} different prompts, fewer --looks.prompts, or --look-prompts"
            ) from error
    shown = prompts_of(looks, [seed, 8], wanted, _of_table(looks, columns))
    found = without(drawn, shown.take(list(range(min(wanted, len(shown.prompts))))))
    if not found.trained.prompts:
        raise DinaError(
            f"--look-prompts {looks}: holds every prompt of --prompts, so that none is left to train on; accepted: "
            "other prompts"
        )
    return found


def held_beside_pairs(
    of_pairs: PromptSet, prompts: str | None, looks: str | None, wanted: int, seed: int = 0
) -> HeldOut:
    """The prompts of given pairs, of which none is looked at, and those that are: `wanted` of `looks`, or else the last
    ones of `prompts`, or else (None) of the pairs' own, which are then not learned from.

    Raises ValueError where too few are left to train on, FileNotFoundError for a name of nothing.
    """
    if looks is None and prompts is None:
        try:
            return hold_out_last(of_pairs, wanted)
        except ValueError as error:
            told = f"--pairs {of_pairs.name}: {error} different prompts, fewer --looks.prompts, or --look-prompts"
            raise DinaError(told) from error
    named = looks or prompts or ""
    drawn = prompts_of(named, [seed, 8], wanted, None)
    last = drawn.take(list(range(len(drawn.prompts)))[:wanted] if looks else list(range(len(drawn.prompts)))[-wanted:])
    found = without(of_pairs, last)
    if not found.trained.prompts:
        raise DinaError(f"--pairs {of_pairs.name}: every prompt of it is looked at ({named}); accepted: other prompts")
    return found


def _of_table(looks: str, columns: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """The mapping where looks stand in a table too: they may be lines beside a table of prompts."""
    return columns if Path(looks).suffix.lower() in FORMATS else None
