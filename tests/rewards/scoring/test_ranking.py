"""The order of scored pictures: complete, by score, and places that mean what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.rewards.scoring.formats import ScoredRow
from dina_lrm.rewards.scoring.ranking import percentiles, ranking_of
from dina_lrm.rewards.scoring.rows import ScoreRow

ROWS = [ScoreRow(f"{name}.png", prompt, None) for name in "abc" for prompt in ("p", "q")]
SCORES = {("a.png", "p"): 1.0, ("a.png", "q"): 5.0, ("b.png", "p"): 3.0, ("b.png", "q"): 3.0, ("c.png", "q"): -1.0}
TABLE = [ScoredRow(*key, score=score) for key, score in SCORES.items()]


def test_every_row_has_a_place_or_a_reason():
    table = [*TABLE, ScoredRow("c.png", "p", error="broken"), ScoredRow("z.png", "p", score=9.0)]
    found = ranking_of(ROWS, table)
    assert [(one.rank, one.image, one.prompt) for one in found.pictures] == [
        (1, "a.png", "q"), (2, "b.png", "p"), (3, "b.png", "q"), (4, "a.png", "p"), (5, "c.png", "q"),
    ]  # fmt: skip
    assert found.without_score == [("c.png", "broken")] and found.prompts == ("q", "p")
    assert ranking_of(ROWS[5:], TABLE).without_score == []
    assert ranking_of([ScoreRow("n.png", "p", None)], TABLE).without_score == [("n.png", "not in the table")]


def test_percentiles_are_of_all_and_of_the_prompt():
    of = {
        (one.image, one.prompt): (one.percentile, one.percentile_of_prompt) for one in ranking_of(ROWS, TABLE).pictures
    }
    assert of["a.png", "q"] == (100.0, 100.0) and of["c.png", "q"] == (0.0, 0.0)
    assert of["b.png", "p"] == (62.5, 100.0) and of["b.png", "q"] == (62.5, 50.0)
    assert percentiles(np.array([7.0])).tolist() == [100.0] and percentiles(np.array([])).tolist() == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_a_percentile_is_the_share_of_the_others_below(scores):
    values = np.array(scores)
    for value, share in zip(values, percentiles(values), strict=True):
        below, equal = (values < value).sum(), (values == value).sum() - 1
        assert share == pytest.approx(100 * (below + 0.5 * equal) / (len(values) - 1))


def test_a_row_given_twice_is_there_twice():
    rows = [ScoreRow("a.png", "p", None)] * 2
    assert len(ranking_of(rows, [ScoredRow("a.png", "p", score=1.0)]).pictures) == 2
