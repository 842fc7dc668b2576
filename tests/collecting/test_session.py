"""A session: each vote is a comparison in the file at once, what was there stays, and it goes on where it stopped."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from dina_lrm.collecting.ballots import Ballots
from dina_lrm.collecting.session import NotAskedError, VoteSession
from dina_lrm.collecting.settings import VoteSettings
from dina_lrm.data.sources import read_comparisons


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (30, 200 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "f" / f"{number}.png")
    return tmp_path / "f"


def session(folder, **settings):
    return VoteSession(VoteSettings(folder, folder.parent / "out" / "votes.jsonl", **settings))


def test_votes_are_comparisons_on_disk_at_once(folder):
    voting, wanted = session(folder), []
    for choice in ("left", "right", "tie"):
        shown = voting.state().pair
        names = [voting.pictures[one].image for one in (shown.left, shown.right)]
        wanted.append((*names, {"left": 1.0, "right": 0.0, "tie": 0.5}[choice]))
        voting.vote(shown.number, choice)
        found = list(read_comparisons(folder.parent / "out" / "votes.jsonl"))
        assert [(one.image_a.resolve().name, one.image_b.resolve().name, one.preference) for one in found] == wanted
    assert all((one.prompt, one.votes, one.source) == ("a picture", 1, "dina-lrm vote") for one in found)
    assert len({one.pair_id for one in found}) == 3
    assert any("compared as “a picture”" in note for note in voting.notes)


def test_it_goes_on_where_it_stopped_and_takes_back(folder):
    voting = session(folder)
    while voting.state().pair is not None and voting.state().votes < 4:
        voting.vote(voting.state().pair.number, "left")
    expected = voting.state()
    again = session(folder)
    assert again.state() == expected and again.resumed == 4
    last = json.loads((folder.parent / "out" / "votes.jsonl").read_text().splitlines()[-1])
    back = again.take_back()
    assert back.votes == 3 and again.pictures[back.pair.left].image == last["image_a"].rpartition("/")[2]
    assert len((folder.parent / "out" / "votes.jsonl").read_text().splitlines()) == 3
    for _ in range(5):
        back = again.take_back()
    assert back.votes == 0 and (folder.parent / "out" / "votes.jsonl").read_text() == ""
    assert session(folder).state().votes == 0


def test_a_vote_on_another_pair_and_a_word_that_is_none_are_refused(folder):
    voting = session(folder)
    with pytest.raises(NotAskedError, match="pair 2 is not the one that is shown"):
        voting.vote(2, "left")
    with pytest.raises(ValueError, match="choice 'up'; accepted: left, right, tie"):
        voting.vote(1, "up")
    assert not (folder.parent / "out").exists()


def test_all_pairs_and_then_none(folder):
    voting = session(folder)
    assert voting.state().aim == 10
    for _ in range(10):
        voting.vote(voting.state().pair.number, "tie")
    assert voting.state().pair is None
    assert "10 votes" in voting.told()[0] and voting.told()[1].startswith(
        "train on them: dina-lrm train synthetic --data "
    )


def test_comparisons_of_somebody_stay_byte_by_byte(folder, tmp_path):
    out = tmp_path / "out" / "votes.jsonl"
    out.parent.mkdir()
    mine = '{"prompt": "a ring",  "image_a": "x.png", "image_b": "y.png", "preference": 0.25}'
    out.write_text(mine)
    voting = session(folder)
    assert any("1 comparisons of other pictures or prompts stay" in note for note in voting.notes)
    voting.vote(1, "left")
    assert out.read_text().startswith(mine + "\n{")
    assert voting.take_back().votes == 0 and not Ballots(out).take_back()
    assert out.read_text() == mine + "\n"
    out.write_text("changed\n")
    with pytest.raises(ValueError, match=r"votes\.jsonl: was changed while votes are collected"):
        voting.vote(1, "left")
    assert out.read_text() == "changed\n"
    with pytest.raises(ValueError, match=r"votes\.jsonl, line 1"):
        session(folder)


def test_captions_part_the_pictures_and_unreadable_ones_are_not_shown(folder):
    for number in range(5):
        (folder / f"{number}.txt").write_text("a red ring" if number < 3 else f"number {number}")
    (folder / "1.png").write_bytes(b"no picture")
    voting = session(folder)
    assert any("2 pictures are the only one of their prompt" in note for note in voting.notes)
    shown = voting.state().pair
    assert {voting.pictures[one].image for one in (shown.left, shown.right)} == {"0.png", "2.png"}
    assert voting.vote(1, "left").pair is None
    assert voting.state().unreadable == 1 and "1 pictures could not be read" in voting.told()[0]
    with pytest.raises(ValueError, match=r"no two of 2 pictures have the same prompt"):
        VoteSession(VoteSettings(alone(folder), folder / "v.jsonl"))


def alone(folder):
    place = folder.parent / "alone"
    place.mkdir()
    for number in (3, 4):
        for suffix in (".png", ".txt"):
            (folder / f"{number}{suffix}").rename(place / f"{number}{suffix}")
    return place


def test_a_name_that_is_no_text_is_left_out_and_said(folder):
    os.rename(os.fsencode(folder / "0.png"), os.fsencode(folder) + b"/caf\xe9.png")
    voting = session(folder)
    assert len(voting.pictures) == 4 and any("1 pictures are not shown" in note for note in voting.notes)


def test_a_picture_is_written_anew_and_small(folder):
    Image.new("RGB", (4000, 1000)).save(folder / "0.png")
    voting = session(folder)
    content = voting.picture(0)
    assert content.startswith(b"\xff\xd8") and len(content) < 100_000
    for number in (-1, 5):
        with pytest.raises(ValueError, match=f"picture {number}; accepted: 0 to 4"):
            voting.picture(number)
