"""What a comparison of two generators refuses, said alike to Python and to the command line; loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dina_lrm.typed import DinaError


def check_asked(rewards: Sequence[str], called: Callable[[str], str] = str, **counts: int | None) -> None:
    """ValueError for a count below 1, None being one that is not given, and for a reward that is named twice.

    `called` says how the caller calls an argument of that name.
    """
    for name, value in counts.items():
        if value is not None and value < 1:
            raise DinaError(f"{called(name)} {value}; accepted: whole numbers of at least 1")
    if len(set(rewards)) < len(rewards):
        raise DinaError(f"{called('rewards')} {','.join(rewards)}: names one twice; accepted: each once")
