"""Votes go to other programs and come back as they were; drafts and cancelled ones do not, and all is counted."""

import json

import pytest

from dina_lrm.cli.main import main
from dina_lrm.collecting.exchange.formats import export_file, import_file
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import read_comparisons, write_comparisons
from dina_lrm.data.votes import NewPair, VoteStore
from dina_lrm.typed import DinaError
from tests.data.votes.drawn import pictures, png, said

SAID = ("a", "b", "tie", "both_bad", "skip")


@pytest.fixture
def store(tmp_path):
    """Three pairs of files, one within the store, a control; two annotators, every answer, both sides."""
    files = pictures(tmp_path / "p", 6)
    with VoteStore.open(tmp_path / "votes.sqlite") as store:
        store.add_pairs([NewPair(f"prompt {n}", files[2 * n], files[2 * n + 1]) for n in range(3)])
        store.add_pairs([NewPair("within", png(50), png(51))], inside=True)
        store.add_pairs([NewPair("control", png(60), png(61), "control", "first")], inside=True)
        for place, who in enumerate((store.join("Ada"), store.join("Bert"))):
            for number, pair in enumerate(store.pairs()):
                answer, left = SAID[(number + place) % 5], "ab"[(number + place) % 2]
                store.record(
                    said(pair.id, who, answer, f"{who} {number}", left=left, ms=1000 + number, at=1e9 + number)
                )
        yield store


def told(store):
    """What was answered about which pictures, whoever it was."""
    pairs = {pair.id: pair for pair in store.pairs()}
    return sorted(
        (
            pairs[vote.pair].prompt,
            pairs[vote.pair].image_a,
            pairs[vote.pair].truth or "",
            vote.answer,
            vote.left,
            vote.ms or 0,
        )
        for vote in store.votes()
    )


def test_label_studio_keeps_every_vote_side_and_time_and_undoes_flips(store, tmp_path):
    export_file(store, tmp_path / "tasks.json", "label-studio")
    with VoteStore.open(tmp_path / "back.sqlite") as back:
        found = import_file(back, tmp_path / "tasks.json", "label-studio")
        assert found.left_out == {"cancelled": 2, "known answers of controls": 2}
        assert found.read == found.recorded + found.left_out.total() and found.recorded == 8
        assert told(back) == [row for row in told(store) if row[3] != "skip"]
        again = import_file(back, tmp_path / "tasks.json", "label-studio")
        assert (again.recorded, again.known) == (0, 8)
        export_file(back, tmp_path / "again.json", "label-studio")
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert {task["data"]["flipped"] for task in tasks} == {False, True}
    with VoteStore.open(tmp_path / "third.sqlite") as third:
        import_file(third, tmp_path / "again.json", "label-studio")
        assert told(third) == [row for row in told(store) if row[3] != "skip"]


def test_a_task_of_label_studio_itself(tmp_path):
    pictures(tmp_path / "img", 2)
    result = [{"type": "pairwise", "from_name": "pick", "to_name": "left", "value": {"selected": "left"}}]
    tie = [{"type": "choices", "from_name": "tie", "to_name": "left", "value": {"choices": ["tie"]}}]
    person = {"id": 3, "email": "ada@example.org"}
    task = {
        "id": 17,
        "data": {"prompt": "a fox", "image_left": "img/1.png", "image_right": "/data/local-files/?d=img/0.png"},
        "annotations": [
            {"id": 5, "completed_by": person, "lead_time": 6.2, "created_at": "2026-11-30T10:00:00Z", "result": result},
            {"id": 6, "completed_by": 4, "result": tie},
            {"id": 7, "completed_by": 5, "result": []},
            {"id": 8, "completed_by": 6, "was_cancelled": True, "result": result},
        ],
    }
    far = {"id": 18, "data": {"prompt": "a fox", "image_left": "https://x.org/1.png", "image_right": "img/0.png"}}
    far["annotations"] = [{"id": 9, "completed_by": 3, "result": result}]
    (tmp_path / "tasks.json").write_text(json.dumps([task, far]))
    with VoteStore.open(tmp_path / "votes.sqlite") as store:
        found = import_file(store, tmp_path / "tasks.json", "label-studio")
        (pair,) = store.pairs()
        chosen, tied = store.votes()
        better = pair.image_a if chosen.answer == "a" else pair.image_b
        assert store.picture(better) == png(1) and chosen.left == chosen.answer and tied.answer == "tie"
        assert (chosen.ms, chosen.at) == (6200, 1796032800.0)
    assert found.left_out == {"without an answer": 1, "cancelled": 1, "with a picture that is an address or no text": 1}
    assert b"ada@" not in (tmp_path / "votes.sqlite").read_bytes()
    (tmp_path / "bad.json").write_text('{"id": 1}')
    with (
        VoteStore.open(tmp_path / "votes.sqlite") as store,
        pytest.raises(DinaError, match="accepted: a list of tasks"),
    ):
        import_file(store, tmp_path / "bad.json", "label-studio")


def test_argilla_keeps_what_was_submitted_and_drops_drafts(store, tmp_path):
    export_file(store, tmp_path / "records.jsonl", "argilla")
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    rows[0]["preference.responses.status"][0] = "draft"
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with VoteStore.open(tmp_path / "back.sqlite") as back:
        found = import_file(back, tmp_path / "records.jsonl", "argilla")
        assert (found.read, found.recorded, found.left_out) == (10, 9, {"draft, not submitted": 1})
        answers = lambda each: sorted((row[0], row[1], row[3]) for row in told(each))  # noqa: E731
        assert set(answers(back)) <= set(answers(store)) and len(answers(back)) == 9
    rows[1]["preference.responses.users"].pop()
    (tmp_path / "records.jsonl").write_text(json.dumps(rows[1]))
    with VoteStore.open(tmp_path / "back.sqlite") as back, pytest.raises(DinaError, match="answers, users and states"):
        import_file(back, tmp_path / "records.jsonl", "argilla")


def test_a_table_of_an_arena_is_read_by_a_map_of_columns(tmp_path, capsys):
    pictures(tmp_path / "img", 3)
    lines = [
        "text,one,two,winner,who",
        "a fox,img/0.png,img/1.png,leftvote,7",
        "a fox,img/0.png,img/1.png,bothbad_vote,8",
    ]
    lines += ["a fox,img/2.png,img/2.png,tie,7", "a fox,img/9.png,img/1.png,left,7"]
    (tmp_path / "arena.csv").write_text("\n".join(lines))
    words = ["annotate", "import", str(tmp_path / "votes.sqlite"), "arena", str(tmp_path / "arena.csv"), "--columns"]
    assert main([*words, "prompt=text,left=one,right=two,vote=winner,annotator=who"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "4 read: 2 recorded, 0 known already, 2 left out" in out and "of a picture with itself" in out
    with VoteStore.read(tmp_path / "votes.sqlite") as store:
        (pair,) = store.pairs()
        first, second = store.votes()
        assert store.picture(pair.image_a if first.answer == "a" else pair.image_b) == png(0)
        assert second.answer == "both_bad" and first.annotator != second.annotator
    assert main([*words, "prompt=text,left=one,right=two,vote=who"]) == 2
    assert "vote '7'; accepted: left" in " ".join(capsys.readouterr().err.split())
    assert main(words[:-1]) == 2 and main([*words, "prompt"]) == 2


def test_comparisons_go_out_weighted_with_both_bad_apart_and_a_page_s_votes_come_in(store, tmp_path, capsys):
    words = ["annotate", "export", str(store.path), "comparisons", str(tmp_path / "out.jsonl")]
    third = store.join("Cleo")
    store.record(said(store.pairs()[3].id, third, "a", "within"))
    assert main([*words, "--weights", "equal"]) == 0
    plain = list(read_comparisons(tmp_path / "out.jsonl"))
    inside = next(one for one in plain if one.prompt == "within")
    assert {inside.image_a.read_bytes(), inside.image_b.read_bytes()} == {png(50), png(51)}
    words[-1] = str(tmp_path / "out.parquet")
    assert main(words) == 0
    found = list(read_comparisons(tmp_path / "out.parquet"))
    assert {one.pair_id for one in found} <= {pair.id for pair in store.pairs()} and all(one.votes for one in found)
    assert len((tmp_path / "out.both-bad.jsonl").read_text().splitlines()) == 2
    files = sorted((tmp_path / "p").iterdir())
    saved = [
        Comparison("p", files[0], files[1], 1.0, votes=1, pair_id="vote-1"),
        Comparison("p", files[2], files[3], 0.7),
    ]
    write_comparisons(tmp_path / "saved.jsonl", saved)
    with VoteStore.open(tmp_path / "in.sqlite") as back:
        come = import_file(back, tmp_path / "saved.jsonl", "comparisons")
        assert (come.recorded, come.left_out) == (1, {"of several people": 1})
        (pair,), (vote,) = back.pairs(), back.votes()
        assert back.picture(pair.image_a if vote.answer == "a" else pair.image_b) == files[0].read_bytes()


def test_a_folder_for_the_datasets_library_has_pictures_and_a_card(store, tmp_path):
    export_file(store, tmp_path / "set", "folder")
    card = (tmp_path / "set" / "README.md").read_text()
    assert "Which picture is better?" in card and "votes" in card
    found = list(read_comparisons(tmp_path / "set"))
    assert found and all(isinstance(one.image_a, bytes) for one in found)
    for wrong in (("folder", "colour"), ("rapidata", None)):
        with pytest.raises(DinaError, match="accepted"):
            export_file(store, tmp_path / "other", *wrong)
