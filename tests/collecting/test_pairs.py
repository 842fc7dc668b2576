"""Which pairs come: balanced, never twice, all in the end, on both sides, and a function of votes and seed."""

import time
from collections import Counter

import pytest

from dina_lrm.collecting.pairs import next_pair, tally


def asked(groups, count, seed=0, taste=lambda first, second: 1.0):
    pictures, votes = sum(map(len, groups)), []
    while len(votes) < count:
        pair = next_pair(groups, tally(pictures, votes), seed)
        if pair is None:
            return votes
        votes.append((*pair, taste(*pair)))
    return votes


@pytest.mark.parametrize("seed", [0, 1])
def test_every_picture_is_seen_as_often_as_the_others(seed):
    votes = asked([list(range(20)), list(range(20, 26))], 60, seed, lambda first, second: float(first > second))
    counts = Counter(picture for first, second, _ in votes for picture in (first, second))
    assert max(counts.values()) - min(counts.values()) <= 3 and len(counts) == 26
    left = sum(first < second for first, second, _ in votes)
    assert 15 < left < 45, "who stands on the left follows a coin"


def test_all_pairs_of_a_prompt_come_once_and_no_other():
    votes = asked([[0, 1, 2, 3], [4, 5], [6]], 100)
    met = {frozenset(vote[:2]) for vote in votes}
    assert len(votes) == len(met) == 7 and frozenset((4, 5)) in met
    assert all(max(pair) <= 3 or min(pair) >= 4 for pair in met)
    assert next_pair([[0], []], tally(1, [])) is None


def test_the_choice_is_a_function_of_votes_and_seed():
    groups = [list(range(12))]
    assert asked(groups, 30, 5) == asked(groups, 30, 5) != asked(groups, 30, 6)


def test_near_ones_meet_more_often_than_by_chance():
    votes = asked([list(range(40))], 300, 0, lambda first, second: float(first < second))
    gaps = [abs(first - second) for first, second, _ in votes[100:]]
    assert sum(gaps) / len(gaps) < 11, "of two drawn at random it is 13.7"


def test_ties_and_wins_are_counted():
    found = tally(3, [(0, 1, 1.0), (1, 0, 0.5)])
    assert list(found.counts) == [2, 2, 0] and list(found.met) == [{1}, {0}, set()]
    assert list(found.shares) == [2.5 / 4, 1.5 / 4, 0.5]


def test_thousands_of_pictures_are_no_wait():
    groups, votes = [list(range(3000))], [(one, one + 1, 1.0) for one in range(2999)]
    start = time.process_time()
    assert next_pair(groups, tally(3000, votes)) is not None
    assert time.process_time() - start < 0.5
