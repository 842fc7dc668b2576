"""What is checked while the tests run: shapes and types of the first calls, in the modules that annotate shapes.

Elsewhere mypy has checked the same already, and later calls differ in their numbers, hardly in their shapes. Checking
every call of every function took a third of the tests' time.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from beartype import beartype

P = ParamSpec("P")
R = TypeVar("R")
CALLS = 100
SOURCE = Path(__file__).parents[1] / "src"


def modules_with_shapes() -> list[str]:
    """The modules of the package whose annotations are shapes."""
    files = [path for path in (SOURCE / "dina_lrm").rglob("*.py") if "from jaxtyping import" in path.read_text()]
    return [".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in files]


def first_calls(function: Callable[P, R]) -> Callable[P, R]:
    """The function, checked by beartype the first hundred times that it is called in a process."""
    if "<locals>" in function.__qualname__:  # made anew, and checked in vain, at each call of what it stands in
        return function
    checked = beartype(function)
    left = CALLS

    @functools.wraps(function)
    def counted(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal left
        left -= 1
        return function(*args, **kwargs) if left < 0 else checked(*args, **kwargs)

    return counted
