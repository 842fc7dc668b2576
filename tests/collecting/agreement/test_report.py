"""The report of a store: who is compared on what, how often the same is said, and what to look at."""

import json
from itertools import count

import pytest

from dina_lrm.cli.main import main
from dina_lrm.collecting.agreement.annotators import share_over_prompts, side_bias, with_others
from dina_lrm.collecting.agreement.report import agreement_report
from dina_lrm.data.votes import NewPair, Vote, VoteStore
from dina_lrm.typed import DinaError
from tests.data.votes.drawn import png, said, store_of


@pytest.fixture
def path(tmp_path):
    """Ada and Bert agree on 8 of 10 pairs; Cleo always takes the left one; all were asked two pairs again."""
    number = count()
    with store_of(tmp_path / "votes.sqlite", 10) as store:
        ada, bert, cleo = (store.join(name) for name in ("Ada", "Bert", "Cleo"))
        tasks = store.pairs()
        store.add_pairs([NewPair("control", png(90), png(91), "control", "first")], inside=True)
        store.add_pairs([NewPair("hard", png(92), png(93), chosen_by="eig", eig=0.3)], inside=True)
        control, hard = store.pairs()[-2:]
        asked = [*tasks, control, hard, *(store.repeat(pair.id) for pair in tasks[:2])]
        for place, pair in enumerate(asked):
            left = "ab"[place % 2]
            store.record(said(pair.id, ada, "a", next(number), left=left, ms=2000))
            store.record(said(pair.id, bert, "b" if place in (1, 2) else "a", next(number), left=left, ms=900))
            store.record(said(pair.id, cleo, left, next(number), left=left, ms=10))
    return tmp_path / "votes.sqlite"


def test_pairs_that_were_chosen_at_random_are_compared(path):
    report = agreement_report(path)
    assert (report.question, report.votes, report.pairs, report.chosen) == ("overall", 42, 10, 3)
    ada, bert, cleo = report.annotators
    assert (ada.votes, ada.seconds, cleo.refused["too fast"]) == (14, 2.0, 14)
    assert ada.again.value == cleo.again.value == 1.0 and bert.again.value == 0.5
    assert cleo.side.notable and not ada.side.notable
    assert report.counted.value != report.ordinal.value
    assert any("annotator 3 leans to the left" in note for note in report.notes())
    assert any("annotator 3: votes that weigh nothing: 14 too fast" in note for note in report.notes())


def test_one_against_the_others_by_hand():
    rows = [("p", 1, "a"), ("p", 2, "a"), ("p", 3, "b"), ("p", 4, "skip"), ("q", 1, "tie")]
    told = {"question": "overall", "left": "a", "ms": None, "at": 0.0, "screen": None, "reason": None}
    votes = [
        Vote(number, pair, who, answer=answer, client_id=str(number), corrects=None, **told)
        for number, (pair, who, answer) in enumerate(rows)
    ]
    found = with_others(votes, {"p": "x", "q": "y"})
    # For 1 and 2 the others are split (a and b); for 3 both others say a. Nobody else answered q.
    assert found == {3: [(False, "x")]}
    assert share_over_prompts([]).value is None


def test_a_lean_is_the_logit_of_left_answers(tmp_path):
    with store_of(tmp_path / "votes.sqlite", 9) as store:
        me = store.join("Ada")
        for place, pair in enumerate(store.pairs()):
            store.record(said(pair.id, me, "a", place, left="a" if place < 7 else "b"))
        found = side_bias(store.votes()).logit
    assert found.value == pytest.approx(1.0986, abs=1e-4), "log of (7 + 1/2) to (2 + 1/2)"
    assert found.low < found.value < found.high and found.n == 9
    assert side_bias([]).logit.value is None


def test_the_command_shows_it_and_writes_it(path, tmp_path, capsys):
    assert main(["annotate", "agreement", str(path), "--json", str(tmp_path / "a.json")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "alpha, a < tie < b" in shown and "leans to the left" in shown
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["pairs"] == 10 and len(written["annotators"]) == 3
    assert main(["annotate", "agreement", str(tmp_path / "a.json"), "--quiet"]) == 2
    assert "no file of votes" in capsys.readouterr().err


def test_an_unknown_question_and_an_empty_store_are_said(path, tmp_path):
    with pytest.raises(DinaError, match="question 'colour'; accepted: overall"):
        agreement_report(path, "colour")
    VoteStore.open(tmp_path / "empty.sqlite").close()
    report = agreement_report(tmp_path / "empty.sqlite")
    assert (report.votes, report.ordinal.value, report.annotators) == (0, None, ())
    assert report.facts()["alpha, a < tie < b"] == "–"
