"""A store of votes: what was recorded stays, once; pictures and pairs are known by what they hold."""

import errno
import os
import signal
import sqlite3
import threading
import time

import pytest

from dina_lrm.data.votes import CollectionSettings, NewPair, Question, VoteStore
from dina_lrm.data.votes.pairs import canonical
from dina_lrm.data.votes.schema import VERSION
from dina_lrm.typed import DinaError
from tests.data.votes.drawn import pictures, png, said, store_of


def test_a_vote_is_there_for_whoever_opens_the_file(tmp_path):
    with store_of(tmp_path / "votes.sqlite") as store:
        me, pair = store.join("Ada"), store.pairs()[1]
        done = store.record(said(pair.id, me, "tie", 1, ms=1200, screen="390x844", reason="both fine", left="b"))
        with VoteStore.read(tmp_path / "votes.sqlite") as other:
            (vote,) = other.votes()
    assert done == (vote.id, True)
    assert (vote.pair, vote.annotator, vote.answer, vote.left) == (pair.id, me, "tie", "b")
    assert (vote.ms, vote.screen, vote.reason, vote.corrects) == (1200, "390x844", "both fine", None)
    assert abs(vote.at - time.time()) < 60


def test_a_repeated_vote_changes_nothing_and_one_that_differs_is_refused(tmp_path):
    with store_of(tmp_path / "votes.sqlite") as store:
        me, pair = store.join("Ada"), store.pairs()[0]
        first = store.record(said(pair.id, me, "a", "one"))
        assert store.record(said(pair.id, me, "a", "one")) == (first.id, False)
        with pytest.raises(DinaError, match=r"client_id 'one' came with a .*now with b .*an id of its own"):
            store.record(said(pair.id, me, "b", "one"))
        assert [vote.answer for vote in store.log()] == ["a"]


def test_a_correction_is_a_new_row_and_taking_back_ends_with_the_vote_before(tmp_path):
    with store_of(tmp_path / "votes.sqlite") as store:
        me, you = store.join("Ada"), store.join("Bert")
        first, second = store.pairs()[:2]
        one = store.record(said(first.id, me, "a", 1))
        two = store.record(said(first.id, me, "b", 2))
        store.record(said(second.id, me, "skip", 3, reason="broken"))
        store.record(said(second.id, you, "a", 4))
        assert [(vote.answer, vote.corrects) for vote in store.votes() if vote.pair == first.id] == [("b", one.id)]
        assert store.undo(me, "back 1").answer == "skip"
        assert store.undo(me, "back 1").answer == "skip", "the same undo again"
        assert store.undo(me, "back 2").id == two.id
        assert store.undo(me, "back 3") is None
        assert [(vote.annotator, vote.answer) for vote in store.votes()] == [(you, "a")]
        assert [vote.answer for vote in store.log()] == ["a", "b", "skip", "a", "undo", "undo"]
        again = store.record(said(first.id, me, "tie", 5))
        assert [vote.corrects for vote in store.votes() if vote.id == again.id] == [None]


def test_rows_of_votes_can_neither_be_changed_nor_removed(tmp_path):
    with store_of(tmp_path / "votes.sqlite") as store:
        store.record(said(store.pairs()[0].id, store.join("Ada"), "a", 1))
    for words in ("UPDATE vote SET answer = 'b'", "DELETE FROM vote"):
        connection = sqlite3.connect(tmp_path / "votes.sqlite")
        with pytest.raises(sqlite3.IntegrityError, match="votes are never"):
            connection.execute(words)
        connection.close()


def test_the_same_picture_under_two_names_is_one(tmp_path):
    first, second, third = pictures(tmp_path / "a", 3)
    (tmp_path / "copy.png").write_bytes(first.read_bytes())
    with VoteStore.open(tmp_path / "votes.sqlite") as store:
        done = store.add_pairs(
            [
                NewPair("a fox", first, second),
                NewPair("a fox", second, tmp_path / "copy.png"),
                NewPair("a fox", first, tmp_path / "copy.png"),
                NewPair("a cat", first, second),
                NewPair("a fox", first, tmp_path / "gone.png"),
                NewPair("a fox", third, png(99)),
            ]
        )
        assert (len(done.new), done.known, len(done.refused)) == (3, 1, 2)
        assert "hold the same picture" in done.refused[0] and "gone.png: no such image file" in done.refused[1]
        assert done.told().startswith("3 pairs added, 1 known already, 2 refused (such as")
        for pair in store.pairs():
            assert (pair.image_a, pair.image_b) == canonical(pair.prompt, pair.image_b, pair.image_a)
        assert {store.stored(pair.image_a).path is None for pair in store.pairs()} <= {True, False}
        assert len({one for pair in store.pairs() for one in (pair.image_a, pair.image_b)}) == 4


def test_a_picture_is_given_only_as_it_was_added(tmp_path):
    first, second = pictures(tmp_path / "p", 2)
    with VoteStore.open(tmp_path / "votes.sqlite") as store:
        store.add_pairs([NewPair("a fox", first, second)])
        (pair,) = store.pairs()
        content = pair.image_a
        place = store.stored(content).path
        data = place.read_bytes()
        assert store.picture(content) == data and (store.stored(content).width, store.stored(content).height) == (
            16,
            16,
        )
        place.write_bytes(png(7))
        with pytest.raises(DinaError, match="holds another picture than the one that was voted on"):
            store.picture(content)
        place.unlink()
        with pytest.raises(FileNotFoundError):
            store.picture(content)
        (tmp_path / "found.png").write_bytes(data)
        store.add_pairs([NewPair("a hare", tmp_path / "found.png", png(3))])
        assert store.picture(content) == data, "the same picture elsewhere takes its place"
        with pytest.raises(DinaError, match="accepted: one that the store holds"):
            store.picture("0" * 64)


def test_a_picture_whose_name_is_no_text_is_kept_within(tmp_path):
    odd = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")
    with open(odd, "wb") as file:
        file.write(png(1))
    given = type(tmp_path)(os.fsdecode(odd))
    with VoteStore.open(tmp_path / "votes.sqlite") as store:
        store.add_pairs([NewPair("a café", given, png(2))])
        (pair,) = store.pairs()
        assert {store.picture(pair.image_a), store.picture(pair.image_b)} == {png(1), png(2)}


def test_controls_know_their_answer_and_repeats_their_pair(tmp_path):
    with VoteStore.open(tmp_path / "votes.sqlite") as store:
        done = store.add_pairs([NewPair("a fox", png(1), png(2), "control", "second")], inside=True)
        pair = store.pair(done.new[0])
        assert store.picture(pair.image_a if pair.truth == "a" else pair.image_b) == png(2)
        same = store.add_pairs([NewPair("a fox", png(2), png(1), "control", "first")])
        assert same.known == 1
        other = store.add_pairs([NewPair("a fox", png(2), png(1), "control", "second")])
        assert "accepted: one answer" in other.refused[0]
        task = store.pair(store.add_pairs([NewPair("a fox", png(1), png(2), chosen_by="eig", eig=0.4)]).new[0])
        again = store.repeat(task.id)
        assert again == store.repeat(task.id) and again.kind == "repeat" and again.repeats == task.id
        assert (again.image_a, again.image_b, again.eig) == (task.image_a, task.image_b, None)
        assert (task.chosen_by, task.eig) == ("eig", 0.4)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pair": "none"}, "pair 'none'; accepted: one that the store holds"),
        ({"annotator": 7}, "annotator 7; accepted: one who joined"),
        ({"question": "colour"}, "question 'colour'; accepted: overall"),
        ({"answer": "left"}, "answer: got 'left'; accepted: a, b, tie, both_bad, skip"),
        ({"left": "left"}, "left: got 'left'; accepted: a, b"),
        ({"client_id": " "}, "client_id: ' '"),
        ({"ms": -1}, "ms: got -1"),
    ],
)
def test_what_is_no_vote_is_refused_and_nothing_is_written(tmp_path, change, told):
    with store_of(tmp_path / "votes.sqlite", 1) as store:
        vote = {"pair": store.pairs()[0].id, "annotator": store.join("Ada"), "answer": "a", "client": 1} | change
        with pytest.raises(DinaError) as raised:
            store.record(said(**vote))
        assert told in str(raised.value)
        assert store.log() == []


def test_annotators_are_known_by_name_and_named_nowhere(tmp_path):
    with store_of(tmp_path / "votes.sqlite") as store, store_of(tmp_path / "other.sqlite") as other:
        assert store.join("Ada Lovelace") == store.join(" ada  lovelace ") != store.join("Bert")
        other.join("Ada Lovelace")
        assert store.annotators()[0].salt_hash != other.annotators()[0].salt_hash
    assert b"ovelace" not in (tmp_path / "votes.sqlite").read_bytes()


def test_a_store_keeps_its_settings_and_questions_that_have_votes(tmp_path):
    two = CollectionSettings(questions=(Question("prompt", "Which follows?"), Question("quality", "Which is finer?")))
    with VoteStore.open(tmp_path / "votes.sqlite", two) as store:
        store.add_pairs([NewPair("a fox", png(1), png(2))])
        store.record(said(store.pairs()[0].id, store.join("Ada"), "a", 1, question="quality"))
        with pytest.raises(DinaError, match="questions: quality have votes"):
            store.change(CollectionSettings())
        store.change(CollectionSettings(questions=two.questions[1:], votes_a_pair=5))
    with VoteStore.open(tmp_path / "votes.sqlite", CollectionSettings()) as store:
        assert store.settings.votes_a_pair == 5 and [one.id for one in store.settings.questions] == ["quality"]
    with pytest.raises(DinaError, match="questions: got"):
        CollectionSettings(questions=(two.questions[0], two.questions[0]))


def test_files_of_something_else_and_of_another_version_are_refused(tmp_path):
    (tmp_path / "text.sqlite").write_text("no database at all, whatever it is called " * 40)
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    store_of(tmp_path / "newer.sqlite").close()
    newer = sqlite3.connect(tmp_path / "newer.sqlite")
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.close()
    for name, told in {
        "text.sqlite": "no file of votes",
        "other.sqlite": "a database of something else",
        "newer.sqlite": f"of version {VERSION + 1}; accepted: version {VERSION} \\(a newer dina-lrm wrote it",
    }.items():
        for way in (VoteStore.open, VoteStore.read):
            with pytest.raises(DinaError, match=told):
                way(tmp_path / name)
    assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("mine",)]
    other.close()
    with pytest.raises(DinaError, match="is a folder"):
        VoteStore.open(tmp_path)
    with pytest.raises(FileNotFoundError):
        VoteStore.open(tmp_path / "none.sqlite", create=False)
    assert not (tmp_path / "none.sqlite").exists()


def test_a_full_disk_is_said_and_keeps_what_was_there(tmp_path):
    with store_of(tmp_path / "votes.sqlite", 1) as store:
        me, pair = store.join("Ada"), store.pairs()[0]
        store.record(said(pair.id, me, "a", "before"))
        with store._database.reading() as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OSError, match="the disk is full") as raised:
            for number in range(500):
                store.record(said(pair.id, me, "b", number, reason="long " * 500))
        assert raised.value.errno == errno.ENOSPC
        kept = len(store.log())
        with store._database.reading() as connection:
            connection.execute("PRAGMA max_page_count = 100000")
        assert store.record(said(pair.id, me, "b", "after")).new
        assert [vote.client_id for vote in store.log()] == ["before", *map(str, range(kept - 1)), "after"]


def test_threads_and_a_second_opening_record_at_once(tmp_path):
    with store_of(tmp_path / "votes.sqlite", 2) as store, VoteStore.open(tmp_path / "votes.sqlite") as other:
        pair, me = store.pairs()[0].id, store.join("Ada")

        def vote(opened, number):
            for turn in range(10):
                opened.record(said(pair, me, "a", f"{number} {turn}"))
                opened.record(said(pair, me, "a", f"shared {turn}"))

        threads = [threading.Thread(target=vote, args=((store, other)[n % 2], n)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.log()) == 4 * 10 + 10


def test_what_was_recorded_outlives_a_kill(tmp_path):
    store_of(tmp_path / "votes.sqlite", 1).close()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            store = VoteStore.open(tmp_path / "votes.sqlite")
            pair, me = store.pairs()[0].id, store.join("Ada")
            for number in range(10**6):
                store.record(said(pair, me, "a", number))
                os.write(writer, b".")
        finally:
            os._exit(1)
    os.close(writer)
    confirmed = b""
    while len(confirmed) < 10:
        confirmed += os.read(reader, 100)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reader, 65536):
        confirmed += more
    os.close(reader)
    with VoteStore.open(tmp_path / "votes.sqlite") as store:
        log = store.log()
        assert len(confirmed) <= len(log) <= len(confirmed) + 1
        assert [vote.client_id for vote in log] == [str(number) for number in range(len(log))]
