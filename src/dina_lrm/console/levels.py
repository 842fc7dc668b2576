"""Noise levels as they are written on the command line."""

from __future__ import annotations

import itertools

from dina_lrm.console.common import UserError


def parsed_levels(noise_level: float | None, ensemble: str | None) -> float | tuple[float, ...] | None:
    """What --noise-level and --ensemble ask for; None is the model's own level."""
    if ensemble is None:
        if noise_level is not None and not 0 <= noise_level <= 1:
            raise UserError(f"--noise-level {noise_level}; accepted: numbers in [0, 1]")
        return noise_level
    if noise_level is not None:
        raise UserError("--noise-level and --ensemble were both given; accepted: one of them")
    levels = parsed_numbers("--ensemble", ensemble)
    if not all(0 <= level <= 1 for level in levels):
        raise UserError(f"--ensemble {ensemble!r}; accepted: numbers in [0, 1]")
    return levels


def parsed_ensembles(given: tuple[str, ...], levels: tuple[float, ...] | None) -> tuple[tuple[float, ...], ...]:
    """The ensembles of --ensemble, each numbers with commas; "none" for none, "all" for every subset of `levels`."""
    if given == ("all",):
        if levels is None or not 2 <= len(levels) <= 6:
            raise UserError("--ensemble all: give --levels with two to six noise levels, whose subsets are read")
        return tuple(subset for size in range(2, len(levels) + 1) for subset in itertools.combinations(levels, size))
    return tuple(parsed_numbers("--ensemble", text) for text in given if text != "none")


def parsed_numbers(option: str, text: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError as error:
        raise UserError(
            f"{option} {text!r}; accepted: numbers with commas between them, such as 0.2,0.5,0.7"
        ) from error
