"""The order in which the workers of pytest-xdist get the tests: what takes long first, so that no worker ends alone.

A worker takes a file at a time, for the sake of what its tests share. The files of `APART` have little to share and
tests of many seconds: of these it takes a test at a time.
"""

from collections import Counter
from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadFileScheduling

APART = ("tests/test_readme.py",)
SLOW = 40
"""A test that is marked slow, or in a file of `APART`, takes as long as so many others: a guess that orders files."""


class TestsApart(LoadFileScheduling):
    """Files as units of work, but tests of the files of `APART`."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return nodeid if file in APART else file


def long_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The items by the weight of their file, the heaviest first; within a file they stay in order."""
    weights: Counter[str] = Counter()
    for item in items:
        slow = item.get_closest_marker("slow") or file_of(item) in APART
        weights[file_of(item)] += SLOW if slow else 1
    return sorted(items, key=lambda item: (-weights[file_of(item)], file_of(item)))


def file_of(item: pytest.Item) -> str:
    return item.nodeid.split("::", 1)[0]
