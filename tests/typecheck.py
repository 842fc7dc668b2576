"""Checks shapes and types of a function's first calls; later ones differ in their numbers, hardly in their shapes."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from beartype import beartype

P = ParamSpec("P")
R = TypeVar("R")
CALLS = 100


def first_calls(function: Callable[P, R]) -> Callable[P, R]:
    """The function, checked by beartype the first hundred times that it is called in a process."""
    if "<locals>" in function.__qualname__:  # made anew at each call of what it stands in
        return function
    checked = beartype(function)
    left = CALLS

    @functools.wraps(function)
    def counted(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal left
        left -= 1
        return function(*args, **kwargs) if left < 0 else checked(*args, **kwargs)

    return counted
