from dataclasses import dataclass, field

import pytest

from dina_lrm.console.common import UserError
from dina_lrm.console.numbers import check_numbers


@dataclass
class Inner:
    rate: float = 1.0
    seed: int = 0


@dataclass
class Given:
    levels: tuple[float, ...] = (0.0, -1.0)
    seeds: tuple[int, ...] = (0, 2)
    count: int = -1
    flag: bool = True
    name: str | None = None
    recipe: Inner = field(default_factory=Inner)
    config: Inner = field(default_factory=Inner)


def test_ordinary_numbers_pass():
    check_numbers(Given())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Given(levels=(0.1, float("nan"))), "--levels nan; accepted: finite numbers"),
        (Given(levels=(float("-inf"),)), "--levels -inf; accepted"),
        (Given(seeds=(0, -1)), "--seeds -1; accepted: whole numbers of at least 0"),
        (Given(count=10**30), f"--count {10**30}; accepted: whole numbers of at most"),
        (Given(recipe=Inner(rate=float("inf"))), "--rate inf; accepted"),
        (Given(config=Inner(seed=-3)), "--config.seed -3; accepted"),
    ],
)
def test_numbers_that_no_option_takes_are_refused_by_the_options_name(given, message):
    with pytest.raises(UserError) as raised:
        check_numbers(given)
    assert str(raised.value).startswith(message)
