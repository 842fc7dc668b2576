"""Nobody is asked twice but by repeats, nothing gets more votes than it may, and sides are a fair coin."""

import itertools

from dina_lrm.collecting.asking.asks import REPEATED_AFTER, Asks
from dina_lrm.data.votes import CollectionSettings, Pair, Question, Vote

TWO = (Question("overall", "Better?"), Question("quality", "Made better?"))


def pair(number, kind="task", **more):
    truth = "a" if kind == "control" else None
    values = {"truth": truth, "repeats": None, "source": None, "chosen_by": None, "eig": None, "at": 0.0} | more
    return Pair(f"{kind}-{number}", "a prompt", f"{number}a", f"{number}b", kind, **values)


def asks_of(tasks, controls=0, **settings):
    found = Asks(CollectionSettings(**{"control_share": 0.0, "repeat_share": 0.0} | settings), seed=5)
    for number in range(tasks):
        found.add(pair(number))
    for number in range(controls):
        found.add(pair(number, "control"))
    return found


def answer(asks, ask, annotator, number):
    said = (ask.pair.id, annotator, ask.question, "a", ask.left, 900, 0.0, None, None)
    asks.answer(Vote(number, *said, f"client {number}", None))


def answered(asks, annotator, most=10_000):
    """Ask and answer until nothing is left; the asks in their order."""
    found = []
    while len(found) < most and (ask := next(asks.next(annotator, 1, set()), None)) is not None:
        answer(asks, ask, annotator, len(found))
        found.append(ask)
    return found


def test_everybody_is_asked_everything_once_in_the_same_order():
    asks = asks_of(30)
    mine, yours = ([ask.pair.id for ask in answered(asks, annotator)] for annotator in (1, 2))
    assert mine == yours and len(set(mine)) == 30
    assert mine != [ask.pair.id for ask in answered(Asks(asks.settings, 6), 1)]


def test_what_is_held_is_not_asked_again_and_what_is_taken_back_is():
    asks = asks_of(5)
    first = list(asks.next(1, 3, set()))
    held = {(ask.pair.id, ask.question) for ask in first}
    assert not held & {(ask.pair.id, ask.question) for ask in asks.next(1, 5, held)}
    answer(asks, first[0], 1, 0)
    asks.take_back(asks.last_of(1))
    assert next(asks.next(1, 1, set())).pair == first[0].pair and asks.votes == 0


def test_questions_of_a_pair_come_together_with_one_side():
    asks = asks_of(4, questions=TWO)
    found = answered(asks, 1)
    assert [ask.question for ask in found] == ["overall", "quality"] * 4
    assert all(one.pair == other.pair and one.left == other.left for one, other in zip(*[iter(found)] * 2, strict=True))


def test_a_task_gets_no_more_votes_than_it_may():
    asks = asks_of(6, votes_a_pair=2)
    assert [len(answered(asks, annotator)) for annotator in (1, 2, 3)] == [6, 6, 0]


def test_sides_are_a_fair_coin_of_person_and_pair():
    asks = asks_of(0)
    seen = [asks.side(pair(number), annotator) for number, annotator in itertools.product(range(500), (1, 2))]
    assert 0.46 < seen.count("a") / len(seen) < 0.54
    assert seen == [asks.side(pair(number), annotator) for number, annotator in itertools.product(range(500), (1, 2))]


def test_controls_come_as_often_as_they_should_and_at_first_more_often():
    asks = asks_of(400, controls=100, control_share=0.1, first_controls=10)
    kinds = [ask.pair.kind for ask in answered(asks, 1, 300)]
    assert 6 <= kinds[:20].count("control") <= 14
    assert 0.05 < kinds[40:].count("control") / len(kinds[40:]) < 0.16


def test_a_repeat_comes_after_a_while_with_its_sides_swapped():
    asks = asks_of(80, repeat_share=0.5)
    seen, repeats = {}, []
    for number in range(80):
        due = asks.repeat_of(1, ())
        if due is not None:
            asks.add(pair(number, "repeat", repeats=due))
        ask = next(asks.next(1, 1, set()))
        if ask.pair.kind == "repeat":
            repeats.append(ask)
            assert ask.left != seen[ask.pair.repeats][1] and number - seen[ask.pair.repeats][0] >= REPEATED_AFTER
        else:
            seen[ask.pair.id] = (number, ask.left)
        answer(asks, ask, 1, number)
    assert len(repeats) > 10 and len({ask.pair.repeats for ask in repeats}) == len(repeats)
    assert next(asks.next(2, 1, set())).pair.kind == "task", "a repeat is for who was asked before"
