"""What a vote weighs is frozen as of the vote; what a pair comes to leaves nothing out unsaid."""

import json
from itertools import count
from pathlib import Path

import pytest

from dina_lrm.data.named_source import named_source
from dina_lrm.data.sources import read_comparisons
from dina_lrm.data.votes import CollectionSettings, NewPair, VoteStore
from dina_lrm.data.votes.shares import shares
from dina_lrm.data.votes.trust import Trust, trust_now, weighed
from tests.data.votes.drawn import pictures, png, said, store_of


def with_controls(path, controls=4, tasks=6, **settings):
    """A store with controls, whose first picture is the better one, and tasks."""
    asked = {"first_controls": 2, "right_share": 0.5, "fastest_ms": 800} | settings
    store = store_of(path, tasks, **asked)
    new = [NewPair(f"control {n}", png(100 + 2 * n), png(101 + 2 * n), "control", "first") for n in range(controls)]
    store.add_pairs(new, inside=True)
    return store


def weights(store):
    return {
        one.vote.id: (round(one.weight, 4), one.refused) for one in weighed(store.log(), store.pairs(), store.settings)
    }


def test_a_vote_weighs_what_controls_had_shown_by_then(tmp_path):
    number = count()
    with with_controls(tmp_path / "votes.sqlite") as store:
        me = store.join("Ada")
        tasks = [pair for pair in store.pairs() if pair.kind == "task"]
        controls = [pair for pair in store.pairs() if pair.kind == "control"]

        def answer(pair, right=None, **more):
            other = {"a": "b", "b": "a"}
            given = "tie" if right is None else pair.truth if right else other[pair.truth]
            return store.record(said(pair.id, me, given, next(number), **more)).id

        early = answer(tasks[0])
        answer(controls[0], True)
        answer(controls[1], True)
        two = answer(tasks[1])
        quick = answer(tasks[2], ms=799)
        answer(controls[2], False)
        three = answer(tasks[3], ms=800)
        before = weights(store)
        assert before[early] == (0.0, "before enough controls") and before[quick] == (0.0, "too fast")
        assert before[two] == (round(2 * 3 / 4 - 1, 4), None) and before[three] == (round(2 * 3 / 5 - 1, 4), None)
        answer(controls[3], False)
        store.record(said(controls[0].id, me, "tie", "corrected"))
        worse = answer(tasks[4])
        after = weights(store)
        assert {key: after[key] for key in (early, two, quick, three)} == {
            key: before[key] for key in (early, two, quick, three)
        }
        assert after[worse] == (0.0, "controls wrong")
        assert trust_now(store.log(), store.pairs()) == {me: Trust(1, 3)}
        assert answer(tasks[1]) != two and weights(store).get(two) is None, "a correction weighs as of its own row"


def test_without_controls_each_vote_weighs_one(tmp_path):
    with store_of(tmp_path / "votes.sqlite", 2) as store:
        me = store.join("Ada")
        store.record(said(store.pairs()[0].id, me, "a", 1))
        store.record(said(store.pairs()[1].id, me, "a", 2, ms=100))
        assert list(weights(store).values()) == [(1.0, None), (0.0, "too fast")]


def test_a_pair_comes_to_the_weighted_share_and_the_rest_is_counted(tmp_path):
    with store_of(tmp_path / "votes.sqlite", 4) as store:
        people = [store.join(name) for name in "abcde"]
        first, second, third, fourth = store.pairs()
        for person, answer in zip(people, ("a", "tie", "b", "both_bad", "skip"), strict=True):
            store.record(said(first.id, person, answer, f"1 {person}"))
        store.record(said(second.id, people[0], "both_bad", "2"))
        store.record(said(third.id, people[0], "a", "3", ms=10))
        store.record(said(store.repeat(first.id).id, people[0], "b", "4"))
        votes = weighed(store.log(), store.pairs(), store.settings)
        votes[0] = type(votes[0])(votes[0].vote, votes[0].pair, 0.25)
        found = shares(votes, "overall")
        (share,) = found.pairs
        assert share.preference == pytest.approx((0.25 * 1 + 0.5) / 2.25) and share.weight == pytest.approx(2.25 / 3)
        assert (share.votes, share.both_bad, share.skipped) == (3, 1, 1)
        assert found.unused == {"both bad": 2, "skipped": 1, "too fast": 1, "repeats": 1}
        assert found.used + found.unused.total() == len(store.votes())
        assert [(pair.id, number) for pair, number in found.both_bad] == [(first.id, 1), (second.id, 1)]
        assert "8 votes: 3 in 1 pairs, not read: 2 both bad" in found.told()
        assert fourth.id not in {one.pair.id for one in found.pairs}
        assert shares(votes, "quality").unused == {"of another question": 8}


def test_a_store_is_read_as_a_table_of_comparisons(tmp_path, caplog):
    first, second, third = pictures(tmp_path / "p", 3)
    with VoteStore.open(tmp_path / "votes.sqlite", CollectionSettings()) as store:
        store.add_pairs([NewPair("a fox", first, second), NewPair("a cat", second, third, source="mine")])
        store.add_pairs([NewPair("a hen", png(8), png(9))])
        me = store.join("Ada")
        for pair in store.pairs():
            store.record(said(pair.id, me, "a", pair.id))
        held = [(pair, store.picture(pair.image_a), store.picture(pair.image_b)) for pair in store.pairs()]
        with caplog.at_level("INFO", "dina_lrm"):
            found = list(read_comparisons(tmp_path / "votes.sqlite"))
    assert "question overall, 3 votes: 3 in 3 pairs" in caplog.text
    for one, (pair, image_a, image_b) in zip(found, held, strict=True):
        assert (one.prompt, one.preference, one.votes, one.weight, one.pair_id) == (pair.prompt, 1.0, 1, 1.0, pair.id)
        read = [given if isinstance(given, bytes) else Path(given).read_bytes() for given in (one.image_a, one.image_b)]
        assert read == [image_a, image_b]
    assert [one.source for one in found] == ["votes", "mine", "votes"]
    third.write_bytes(png(50))
    first.unlink()
    report = named_source(str(tmp_path / "votes.sqlite")).check()
    told = json.dumps([problem.reason for problem in report.problems])
    assert report.rows == 3 and report.refused is False
    assert "holds another picture" in told and "is gone" in told and len(report.problems) == 2
