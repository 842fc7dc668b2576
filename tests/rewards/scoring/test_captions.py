"""Captions beside pictures are their prompts; what held them counts as read."""

import json

import pytest
from PIL import Image

from dina_lrm.rewards.scoring.prompts import NoPromptsError
from dina_lrm.rewards.scoring.rows import read_score_rows


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("a.png", "b.jpg", "below/c.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path


def prompts(folder, given=None):
    return {row.image: row.prompt for row in read_score_rows(folder, given)}


def test_texts_beside_pictures_and_tables_of_them(folder):
    (folder / "a.txt").write_text("a red\n square \n", encoding="utf-8-sig")
    lines = [
        {"file_name": "a.png", "text": "another"},
        {"file_name": "./b.jpg", "text": "a ring"},
        {"file_name": "no.png", "text": "x"},
    ]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "below" / "metadata.csv").write_text("file_name,caption\nc.png,a cross\n")
    (folder / "notes.txt").write_text("mine")
    assert prompts(folder) == {"a.png": "a red square", "b.jpg": "a ring", "below/c.png": "a cross"}
    scan = read_score_rows(folder).scan
    assert (scan.found, len(scan.names), scan.beside, dict(scan.left_out)) == (7, 3, 3, {"called .txt": 1})
    assert scan.told() in ("1 left out: 1 called .txt", "1 left out: 1 called .txt (such as notes.txt)")
    assert prompts(folder, "a given one") == dict.fromkeys(("a.png", "b.jpg", "below/c.png"), "a given one")


def test_none_and_some_are_refused_each_in_its_words(folder):
    with pytest.raises(NoPromptsError, match=r"no captions beside the pictures; accepted: x\.txt beside x\.png"):
        read_score_rows(folder)
    (folder / "a.txt").write_text("a red square")
    with pytest.raises(ValueError, match=r"no caption beside 2 of 3 pictures, such as b\.jpg"):
        read_score_rows(folder)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"caf\xe9", r"a\.txt: not UTF-8 text"),
        (
            "metadata.jsonl",
            b'{"name": "a.png", "text": "x"}\n',
            r"line 1: columns name, text; accepted: one of file_name",
        ),
        ("metadata.jsonl", b'{"file_name": "a.png", "text": 3}\n', r"line 1: text is 3; accepted: text"),
        ("metadata.jsonl", b"{\n", r"metadata\.jsonl, line 1"),
    ],
)
def test_captions_that_cannot_be_read_are_named(folder, name, content, told):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=told):
        read_score_rows(folder)
