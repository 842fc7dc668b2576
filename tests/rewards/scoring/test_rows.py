import json
import os
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dina_lrm.rewards.scoring.rows import ScoreRow, read_score_rows
from tests.data.test_webdataset import archive


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.JPG", "below/c.webp", "notes.txt"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "images"


def told(rows):
    return [(row.image, row.prompt) for row in rows]


def test_a_folder_is_searched_below_and_sorted_and_names_are_relative(folder):
    rows = list(read_score_rows(folder, "a red cube"))
    assert told(rows) == [("a.JPG", "a red cube"), ("b.png", "a red cube"), ("below/c.webp", "a red cube")]
    assert rows[2].source == folder / "below" / "c.webp"


def test_a_single_image(folder):
    assert list(read_score_rows(folder / "b.png", "p")) == [ScoreRow("b.png", "p", folder / "b.png")]


def test_prompts_of_a_text_file_are_one_for_each_or_one_for_all(folder, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo\nthree\n")
    assert [row.prompt for row in read_score_rows(folder, str(prompts))] == ["one", "two", "three"]
    prompts.write_text("only")
    assert [row.prompt for row in read_score_rows(folder, str(prompts))] == ["only"] * 3
    prompts.write_text("one\ntwo\n")
    with pytest.raises(ValueError, match=r"2 prompts for 3 images; give one for all, or one for each"):
        read_score_rows(folder, str(prompts))


def test_prompts_of_a_table_go_by_name(folder, tmp_path):
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("image,prompt\nbelow/c.webp,c\na.JPG,a\nb.png,b\n")
    assert told(read_score_rows(folder, str(prompts))) == [("a.JPG", "a"), ("b.png", "b"), ("below/c.webp", "c")]
    prompts.write_text("image,prompt\na.JPG,a\n")
    with pytest.raises(ValueError, match=r"no prompt for 2 of 3 images, such as 'b\.png'"):
        read_score_rows(folder, str(prompts))


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "images.jsonl"
    rows = [
        {"image": "x/1.png", "prompt": "one", "caption": "eins"},
        {"image": "/y/2.png", "prompt": "two", "caption": "zwei"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_table_of_images_names_its_prompt_column(table, tmp_path):
    rows = read_score_rows(table)
    assert told(rows) == [("x/1.png", "one"), ("/y/2.png", "two")]
    assert [str(row.source) for row in rows] == [str(tmp_path / "x/1.png"), "/y/2.png"]
    assert [row.prompt for row in read_score_rows(table, "caption")] == ["eins", "zwei"]
    assert [row.prompt for row in read_score_rows(table, "a red cube")] == ["a red cube"] * 2
    (tmp_path / "lines.txt").write_text("first\nsecond\n")
    assert [row.prompt for row in read_score_rows(table, str(tmp_path / "lines.txt"))] == ["first", "second"]


@pytest.mark.parametrize(
    ("columns", "mapped", "note"),
    [
        (("image", "prompt"), None, None),
        (("file_name", "Caption"), None, "pictures = file_name, prompts = Caption"),
        (("image_path", "text"), None, "pictures = image_path, prompts = text"),
        (("photo", "title"), {"image": "photo", "prompt": "title"}, "pictures = photo, prompts = title"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_of_pictures_and_prompts_are_known_by_name_or_mapped(columns, mapped, note, suffix, tmp_path):
    path, values = tmp_path / f"mine{suffix}", {columns[0]: ["a.png", "b.png"], columns[1]: ["one", "two"]}
    if suffix == ".csv":
        path.write_text("\n".join(map(",".join, zip(*([name, *cells] for name, cells in values.items()), strict=True))))
    else:
        pq.write_table(pa.table(values), path)
    rows = read_score_rows(path, columns=mapped)
    assert told(rows) == [("a.png", "one"), ("b.png", "two")]
    assert rows.note == (None if note is None else f"{path}: {note}")
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    if suffix == ".csv":
        assert told(read_score_rows(tmp_path / "a.png", str(path), mapped))[0] == ("a.png", "one")


def test_a_mapping_without_a_table_and_to_no_column_is_refused(table, folder):
    with pytest.raises(ValueError, match=r"columns prompt=x: .*images is no table; accepted with a table"):
        read_score_rows(folder, "a red cube", {"prompt": "x"})
    with pytest.raises(ValueError, match=r"images\.jsonl: no column 'x' for prompt; columns: image, prompt, caption"):
        read_score_rows(table, columns={"prompt": "x"})


def test_pictures_of_an_archive_have_their_captions_and_names(tmp_path):
    path = archive(tmp_path / "a.tar", {"d/0.jpg": b"0", "d/0.txt": "one", "d/1.webp": b"1", "d/1.txt": "two"})
    rows = list(read_score_rows(path))
    assert rows == [ScoreRow("d/0.jpg", "one", b"0"), ScoreRow("d/1.webp", "two", b"1")]
    assert [row.prompt for row in read_score_rows(path, "a red cube")] == ["a red cube"] * 2


def test_a_misspelled_column_does_not_become_the_prompt(table):
    with pytest.raises(ValueError, match="no column 'captoin'; columns: image, prompt, caption"):
        read_score_rows(table, "captoin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image\na.png\n", "images.csv: no prompt among the columns image; accepted: one of prompt, caption"),
        ("image,prompt\na.png,\n", "line 2: prompt is ''; give the text"),
        (
            "photo,prompt\na.png,p\n",
            "no image among the columns photo, prompt; accepted: .* --columns image=COLUMN",
        ),
        ("image,prompt\na.png\n", "line 2: 1 cells, but the header names 2"),
        ("picture,prompt\n", "holds no rows; accepted: a table with a column image"),
        ("image,prompt\n", "holds no rows; accepted: a table with a column image"),
    ],
)
def test_rows_at_fault_are_named(tmp_path, text, message):
    (tmp_path / "images.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_score_rows(tmp_path / "images.csv")


def test_what_is_not_there_is_named(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="absent: no such folder or file"):
        read_score_rows(tmp_path / "absent", "p")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: holds no images; accepted: .*\.png"):
        read_score_rows(tmp_path / "empty", "p")
    with pytest.raises(ValueError, match="no prompts given"):
        read_score_rows(folder)


def test_a_very_long_prompt_is_no_path(folder):
    assert next(iter(read_score_rows(folder, "red " * 2000))).prompt == "red " * 2000


def parquet(path, images):
    rows = [{"image": image, "prompt": "p"} for image in images]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_bytes_come_before_the_path_that_they_came_from(tmp_path):
    table = parquet(tmp_path / "t.parquet", [{"bytes": b"x", "path": "0.png"}, {"bytes": None, "path": "1.png"}])
    assert list(read_score_rows(table)) == [
        ScoreRow("0.png", "p", b"x"),
        ScoreRow("1.png", "p", tmp_path / "1.png"),
    ]
    table = parquet(tmp_path / "u.parquet", [b"x", b"y"])
    assert list(read_score_rows(table)) == [ScoreRow("row 1", "p", b"x"), ScoreRow("row 2", "p", b"y")]


def test_a_cell_without_a_picture_is_a_row_with_an_error(tmp_path):
    rows = list(read_score_rows(parquet(tmp_path / "t.parquet", [b"x", None, b""])))
    assert [row.source for row in rows] == [b"x", None, None]
    assert all("no image: the cell holds nothing" in row.fault for row in rows[1:])
    (tmp_path / "t.csv").write_text("image,prompt\n,p\na.png,p\n")
    first, second = read_score_rows(tmp_path / "t.csv")
    assert first.fault is not None and first.image == "line 2" and second.source == tmp_path / "a.png"


def test_pictures_in_a_table_are_never_all_in_memory(tmp_path):
    rows, size = 640, 40_000
    schema = pa.schema([("image", pa.binary()), ("prompt", pa.string())])
    with pq.ParquetWriter(tmp_path / "t.parquet", schema, compression="none") as writer:
        for _ in range(rows // 32):
            images = [os.urandom(size) for _ in range(32)]
            writer.write_table(pa.table({"image": images, "prompt": ["p"] * 32}, schema=schema))
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    read = read_score_rows(tmp_path / "t.parquet")
    assert tracemalloc.get_traced_memory()[1] < 10 * size
    most = 0
    for row in read:
        assert len(row.source) == size
        most = max(most, tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - before)
    tracemalloc.stop()
    assert most < rows * size / 2
    assert len(read) == len(list(read)) == rows


def test_long_texts_in_the_place_of_paths_are_short_names(tmp_path):
    (tmp_path / "t.jsonl").write_text(json.dumps({"image": "data:image/png;base64," + "A" * 9000, "prompt": "p"}))
    assert len(next(iter(read_score_rows(tmp_path / "t.jsonl"))).image) < 200


def test_names_that_are_no_text_are_rows_with_an_escaped_name(folder):
    name = os.fsdecode(b"caf\xe9.png")
    (folder / name).touch()
    rows = {row.image: row.source for row in read_score_rows(folder, "p")}
    assert rows["caf\\xe9.png"] == folder / name


def test_what_is_left_out_is_counted_and_told_where_nothing_is_left(folder, tmp_path):
    rows = read_score_rows(folder, "p")
    assert (len(rows), rows.scan.found, rows.scan.left_out) == (3, 4, {"called .txt": 1})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.heic").touch()
    with pytest.raises(ValueError, match=r"holds no images; accepted: .*\(1 left out: 1 called \.heic"):
        read_score_rows(tmp_path / "other", "p")


def test_a_row_that_cannot_be_read_is_a_row_with_an_error_and_costs_no_other(tmp_path):
    table = tmp_path / "t.jsonl"
    table.write_text('{"image": "a.png", "prompt": "a \\ud83d"}\n{"image": "b.png", "prompt": "p"}\nnothing\n')
    rows = list(read_score_rows(table))
    assert told(rows) == [("line 1", ""), ("b.png", "p"), ("line 3", "")]
    assert "t.jsonl, line 1: not a JSON value" in rows[0].fault
    table.write_text("nothing\n")
    with pytest.raises(ValueError, match=r"t\.jsonl, line 1: not a JSON value"):
        read_score_rows(table)
