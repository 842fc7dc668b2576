"""Every two of a group come once, and within a round nobody comes twice."""

import pytest

from dina_lrm.collecting.candidates.rounds import pair_count, pairs_in_rounds


@pytest.mark.parametrize("sizes", [(2,), (5,), (6, 1, 3), (1,), ()])
def test_every_two_of_a_group_once(sizes):
    groups = [[(group, member) for member in range(size)] for group, size in enumerate(sizes)]
    found = list(pairs_in_rounds(groups, 3))
    wanted = {frozenset((one, other)) for group in groups for one in group for other in group if one < other}
    assert {frozenset(pair) for pair in found} == wanted and len(found) == len(wanted) == pair_count(groups)
    assert found == list(pairs_in_rounds(groups, 3))


def test_a_round_shows_everybody_once_and_seeds_differ():
    found = list(pairs_in_rounds([range(8)], 0))
    for start in range(0, len(found), 4):
        assert sorted(member for pair in found[start : start + 4] for member in pair) == list(range(8))
    assert found != list(pairs_in_rounds([range(8)], 1))
