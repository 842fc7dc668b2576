"""A store that asks several questions says all of them by name; one that asks one is read as before."""

from itertools import count

from dina_lrm.data.sources import read_comparisons
from dina_lrm.data.votes import Question
from tests.data.votes.drawn import said, store_of

QUESTIONS = (Question("overall", "Which is better?"), Question("quality", "Which is finer?"), Question("a b", "Which?"))


def test_what_people_said_of_each_question_is_there_by_its_id(tmp_path, caplog):
    number = count()
    with store_of(tmp_path / "votes.sqlite", 3, questions=QUESTIONS) as store:
        ada, bo = store.join("Ada"), store.join("Bo")
        first, second, third = (pair.id for pair in store.pairs())
        for pair, who, question, answer in (
            (first, ada, "overall", "a"),
            (first, ada, "quality", "b"),
            (first, bo, "quality", "tie"),
            (first, ada, "a b", "a"),
            (second, ada, "overall", "b"),
            (third, bo, "quality", "a"),
        ):
            store.record(said(pair, who, answer, next(number), question=question))
    rows = list(read_comparisons(tmp_path / "votes.sqlite", "ours"))
    assert [(row.pair_id, row.preferences) for row in rows] == [
        (first, (("overall", 1.0), ("quality", 0.25))),
        (second, (("overall", 0.0),)),
    ]
    assert "question 'a b' is none that a score may be called as" in caplog.text


def test_a_store_of_one_question_says_nothing_by_name(tmp_path):
    with store_of(tmp_path / "votes.sqlite", 1) as store:
        store.record(said(store.pairs()[0].id, store.join("Ada"), "a", 1))
    (row,) = read_comparisons(tmp_path / "votes.sqlite", "ours")
    assert (row.preference, row.preferences) == (1.0, ())
