"""Prompts find their pictures, or the run is refused: none is ever given to another picture in silence."""

import itertools

import pytest

from dina_lrm.rewards.scoring.rows import read_score_rows


def folder_of(tmp_path, names):
    for name in names:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "images"


def paired(tmp_path, names, text, name="prompts.txt"):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    rows = read_score_rows(folder_of(tmp_path, names), str(tmp_path / name))
    return {row.image: row.prompt for row in rows}, rows.note


@pytest.mark.parametrize("form", ["{}.png", "img_{}.png", "below/picture-{}-final.jpg", "v2 {}.webp"])
@pytest.mark.parametrize("first", [0, 1, 7])
def test_lines_belong_to_numbered_pictures_in_the_order_of_their_numbers(form, first, tmp_path):
    names = [form.format(number) for number in range(first, first + 12)]
    found, note = paired(tmp_path, names, "".join(f"prompt of {name}\n" for name in names))
    assert found == {name: f"prompt of {name}" for name in names}
    assert note is not None and f"{names[0]} to {names[-1]}" in note


def test_padded_numbers_and_words_have_one_order_and_nothing_to_be_said(tmp_path):
    names = ["a.png", "b.png", "c-01.png", "c-02.png", "c-10.png"]
    found, note = paired(tmp_path, names, "".join(f"prompt of {name}\n" for name in names))
    assert found == {name: f"prompt of {name}" for name in names} and note is None


@pytest.mark.parametrize(
    "names",
    [
        ["a2.png", "a10.png", "b.png"],
        ["1-2.png", "1-10.png", "2-1.png"],
        ["B.png", "a.png"],
        ["x2/1.png", "x10/2.png"],
        ["1.png", "10.png", "2.jpg", "2.png"],
    ],
)
def test_lines_that_could_belong_to_pictures_in_two_ways_are_refused(names, tmp_path):
    with pytest.raises(ValueError, match=r"its lines cannot be matched to images, .* give a table with the columns"):
        paired(tmp_path, names, "".join(f"{name}\n" for name in names))
    assert paired(tmp_path, names, "one for all\n")[0] == dict.fromkeys(names, "one for all")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[:4])
def test_a_table_gives_several_prompts_to_a_picture_and_names_the_missing(order, tmp_path):
    lines = ["1.png,a red square", "1.png,a small red square", "10.png,a blue square"]
    text = "image,prompt\n" + "\n".join(lines[row] for row in order) + "\nmissing.png,a black square\n"
    (tmp_path / "p.csv").write_text(text)
    rows = list(read_score_rows(folder_of(tmp_path, ["1.png", "10.png"]), str(tmp_path / "p.csv")))
    assert sorted((row.image, row.prompt) for row in rows) == sorted(
        [*(tuple(line.split(",")) for line in lines), ("missing.png", "a black square")]
    )
    assert rows[-1].image == "missing.png" and not rows[-1].source.exists()


def test_a_table_names_pictures_of_a_table_too(tmp_path):
    (tmp_path / "images.csv").write_text("image\na.png\nb.png\na.png\n")
    (tmp_path / "p.csv").write_text("image,prompt\na.png,one\nb.png,two\nc.png,three\n")
    rows = list(read_score_rows(tmp_path / "images.csv", str(tmp_path / "p.csv")))
    assert [(row.image, row.prompt) for row in rows] == [
        ("a.png", "one"),
        ("b.png", "two"),
        ("a.png", "one"),
        ("c.png", "three"),
    ]
    assert "no such image in" in rows[-1].fault


def test_names_mean_one_file_however_they_are_written(tmp_path):
    composed, decomposed = "caf\u00e9.png", "cafe\u0301.png"
    (tmp_path / "p.csv").write_text(f"image,prompt\n./{decomposed},one\nbelow/../b.png,two\n", encoding="utf-8")
    rows = read_score_rows(folder_of(tmp_path, [composed, "b.png"]), str(tmp_path / "p.csv"))
    assert {row.image: row.prompt for row in rows} == {composed: "one", "b.png": "two"}


@pytest.mark.parametrize(
    "given", ["promts.txt", "prompts.TXT", "data/promts", "~/prompts", "promts.text", "my promts.csv", "sub\\promts"]
)
def test_a_mistyped_file_of_prompts_is_no_prompt(given, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read_score_rows(folder_of(tmp_path, ["a.png"]), given)


def test_a_folder_of_captions_is_no_prompt(tmp_path):
    (tmp_path / "captions").mkdir()
    with pytest.raises(ValueError, match="captions: is a folder; accepted: a text"):
        read_score_rows(folder_of(tmp_path, ["a.png"]), str(tmp_path / "captions"))


@pytest.mark.parametrize("text", ["a red cube", "red", "3.5 cubes", "a cat/dog hybrid", "e.g. a cube", "U.S.A."])
def test_a_prompt_is_a_prompt(text, tmp_path):
    assert next(iter(read_score_rows(folder_of(tmp_path, ["a.png"]), text))).prompt == text


def test_numbers_that_differ_say_what_was_left_out(tmp_path):
    with pytest.raises(ValueError, match=r"2 prompts for 1 images; .* \(1 left out: 1 called \.heic \(such as b\.heic"):
        paired(tmp_path, ["a.png", "b.heic"], "one\ntwo\n")
