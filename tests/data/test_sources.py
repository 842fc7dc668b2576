import csv
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dina_lrm.data.comparison import Comparison, UnreadableImage
from dina_lrm.data.sources import SOURCES, read_comparisons, write_comparisons
from dina_lrm.data.sources.columns import parse_columns
from dina_lrm.images import png_bytes


@pytest.fixture
def pairs(tmp_path):
    images = [tmp_path / "images" / f"{i}.png" for i in range(3)]
    return [
        Comparison('a "red", bar\nbelow', images[0], images[1], 1.0),
        Comparison("ein grüner Stern", images[1], images[2], 0.5, 2.5, "mine", "pair-1", "prompt-1", 5, 0.75),
    ]


def write_lines(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


ROW = {"prompt": "p", "image_a": "a.png", "image_b": "b.png", "preference": 1}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_round_trip(tmp_path, pairs, suffix):
    path = tmp_path / f"pairs{suffix}"
    assert write_comparisons(path, iter(pairs)) == 2
    assert list(read_comparisons(path)) == pairs
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "no temporary file is left"


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_no_comparisons_is_an_empty_file(tmp_path, suffix):
    assert write_comparisons(tmp_path / f"none{suffix}", []) == 0
    assert list(read_comparisons(tmp_path / f"none{suffix}")) == []


def test_paths_are_relative_to_the_file_and_move_with_it(tmp_path, pairs):
    old, new = tmp_path / "pairs.jsonl", tmp_path / "moved" / "pairs.jsonl"
    write_comparisons(old, pairs)
    assert json.loads(old.read_text().splitlines()[0])["image_a"] == "images/0.png"
    new.parent.mkdir()
    old.rename(new)
    assert next(read_comparisons(new)).image_a == tmp_path / "moved" / "images" / "0.png"


@pytest.mark.parametrize("name", ["nowhere", "pairs.jsonl"])
def test_a_folder_of_images_that_is_none_is_refused_at_once(tmp_path, pairs, name):
    path = tmp_path / "pairs.jsonl"
    write_comparisons(path, pairs)
    with pytest.raises(ValueError, match=rf"images: is (not there|no folder), .*{name}; accepted: the folder"):
        next(read_comparisons(path, images=tmp_path / name))


def test_a_path_outside_the_folder_is_written_absolute(tmp_path):
    outside = Comparison("p", tmp_path / "a.png", tmp_path / "b.png", 0.0)
    write_comparisons(tmp_path / "below" / "pairs.csv", [outside])
    assert list(read_comparisons(tmp_path / "below" / "pairs.csv")) == [outside]


def test_embedded_images_travel_alone(tmp_path, pairs):
    (tmp_path / "images").mkdir()
    for i in range(3):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(tmp_path / "images" / f"{i}.png")
    write_comparisons(tmp_path / "pairs.parquet", pairs, embed_images=True)
    read = list(read_comparisons(tmp_path / "pairs.parquet"))
    assert read[0].image_a == (tmp_path / "images" / "0.png").read_bytes()
    assert read[0].image_b == read[1].image_a


def test_images_in_memory_are_written_to_parquet_only(tmp_path):
    red = Image.new("RGB", (4, 4), "red")
    pair = Comparison("p", red, png_bytes(red), 1.0)
    write_comparisons(tmp_path / "pairs.parquet", [pair])
    read = next(read_comparisons(tmp_path / "pairs.parquet"))
    assert read.image_a == read.image_b == png_bytes(red)
    with pytest.raises(ValueError, match=r"held in memory.*\.jsonl holds paths only.*\.parquet"):
        write_comparisons(tmp_path / "pairs.jsonl", [pair])
    assert not (tmp_path / "pairs.jsonl").exists()
    with pytest.raises(ValueError, match="comparison 2 mixes"):
        write_comparisons(tmp_path / "mixed.parquet", [pair, Comparison("p", "a.png", "b.png", 1.0)])


def test_image_structs_of_the_datasets_library_are_read(tmp_path):
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "prompt": pa.array(["p"]),
        "image_a": pa.array([{"bytes": b"file", "path": "ignored.png"}], image),
        "image_b": pa.array([{"bytes": None, "path": "b.png"}], image),
        "preference": pa.array([1.0]),
    }
    pq.write_table(pa.table(columns), tmp_path / "pairs.parquet")
    read = next(read_comparisons(tmp_path / "pairs.parquet"))
    assert read.image_a == b"file"
    assert read.image_b == tmp_path / "b.png"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preference": 7}, r"line 2: preference is 7\.0.*\[0, 1\]"),
        ({"preference": True}, r"line 2: preference is True"),
        ({"preference": "left"}, r"line 2: preference is 'left'.*\[0, 1\]"),
        ({"preference": None}, r"line 2: preference is None"),
        ({"prompt": 3}, "line 2: prompt is 3; give text"),
        ({"prompt": ""}, "line 2: prompt is empty"),
        ({"preference": -1}, r"line 2: preference is -1\.0.*labels -1, 0, 1 are written 0, 0\.5, 1"),
        ({"preference": "a"}, "line 2: preference is 'a'; .*: 1 where a is preferred, 0 where b is"),
        ({"preference": "1_0"}, "line 2: preference is '1_0'"),
        ({"preference": 10**400}, "line 2: preference is 1000"),
        ({"prompt": "nul \0"}, "line 2: prompt is .* NUL character"),
        ({"image_b": 4}, "line 2: image_b is 4; give the path"),
        ({"weight": -2}, r"line 2: weight is -2\.0"),
        ({"pair_id": 1.5}, r"line 2: pair_id is 1\.5"),
        ({"label": 1, "model": 2}, "line 2: unknown column label, model; accepted: prompt, image_a"),
        ({"votes": 0}, "line 2: votes is 0"),
        ({"votes": 1.5}, r"line 2: votes is 1\.5"),
        ({"confidence": 2}, r"line 2: confidence is 2\.0"),
    ],
)
def test_an_error_names_file_row_value_and_what_is_accepted(tmp_path, change, message):
    path = write_lines(tmp_path / "pairs.jsonl", [ROW, ROW | change])
    with pytest.raises(ValueError, match=r"pairs\.jsonl, " + message):
        list(read_comparisons(path))


def test_a_number_that_is_none_is_refused_by_row(tmp_path):
    """A NaN never becomes a label, a weight of 1, or a vote; an empty cell of an optional column is none."""
    for column in ("preference", "weight", "votes", "confidence"):
        columns = {name: [value] * 2 for name, value in ROW.items()} | {column: [1.0, float("nan")]}
        pq.write_table(pa.table(columns), tmp_path / "t.parquet")
        with pytest.raises(ValueError, match=rf"row 2: {column} is nan"):
            list(read_comparisons(tmp_path / "t.parquet"))
        csv_text = ",".join(columns) + "\n" + ",".join(str(values[1]) for values in columns.values()) + "\n"
        (tmp_path / "t.csv").write_text(csv_text)
        with pytest.raises(ValueError, match=rf"line 2: {column} is '?nan"):
            list(read_comparisons(tmp_path / "t.csv"))


EMPTY = [None, "", " ", {"bytes": None, "path": None}, {"bytes": "", "path": ""}]


@pytest.mark.parametrize("value", EMPTY)
def test_an_empty_cell_is_an_image_that_is_not_there(tmp_path, value):
    path = write_lines(tmp_path / "pairs.jsonl", [ROW, ROW | {"image_b": value}])
    image = list(read_comparisons(path))[1].image_b
    assert isinstance(image, UnreadableImage)
    assert (image.name, image.reason) == (f"{path}, line 2, image_b", "the cell is empty")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_empty_cells_stay_empty_when_comparisons_are_written(tmp_path, suffix):
    path = write_lines(tmp_path / "pairs.jsonl", [ROW | {"image_a": None, "image_b": ""}, ROW | {"image_b": None}])
    assert write_comparisons(tmp_path / f"copy{suffix}", read_comparisons(path)) == 2
    first, second = read_comparisons(tmp_path / f"copy{suffix}")
    assert all(isinstance(image, UnreadableImage) for image in (first.image_a, first.image_b, second.image_b))
    assert second.image_a == tmp_path / "a.png"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("data:image/png;base64,iVBOR", "a data URI and no path"),
        ("iVBORw0KGgo+/A" * 1000, "is base64 text and no path"),
        ("https://example.org/a.png", "is an address, and nothing is fetched"),
        ("sub\\a.png", "backslashes"),
        ("x y" * 3000, "cannot be the name of a file"),
    ],
)
def test_text_that_is_no_path_says_what_it_is(tmp_path, text, reason):
    path = write_lines(tmp_path / "pairs.jsonl", [ROW | {"image_b": text}])
    image = next(read_comparisons(path)).image_b
    assert isinstance(image, UnreadableImage)
    assert re.search(reason, image.reason)
    assert len(image.reason) < 200


def test_a_file_of_any_name_is_a_path(tmp_path):
    name = "abcd" * 60 + ".png"
    (tmp_path / name).write_bytes(b"file")
    path = write_lines(tmp_path / "pairs.jsonl", [ROW | {"image_a": name, "image_b": "back\\slash.png"}])
    (tmp_path / "back\\slash.png").write_bytes(b"file")
    found = next(read_comparisons(path))
    assert (found.image_a, found.image_b) == (tmp_path / name, tmp_path / "back\\slash.png")


FOREIGN = [
    ({"prompt": "p", "x": "a", "y": "b"}, "image_a=x,image_b=y,preference=1", 1.0),
    ({"prompt": "p", "x": "a", "y": "b", "m": 20, "n": 5}, "image_a=x,image_b=y,preference=m:n", 0.8),
    ({"prompt": "p", "x": "a", "y": "b", "m": -1}, "image_a=x,image_b=y,preference=signed:m", 0.0),
]


@pytest.mark.parametrize(("row", "columns", "preference"), FOREIGN)
def test_a_mapping_reads_a_table_of_any_names(tmp_path, row, columns, preference):
    path = write_lines(tmp_path / "pairs.jsonl", [row])
    found = next(read_comparisons(path, columns=parse_columns(columns)))
    assert (found.prompt, found.image_a, found.image_b) == ("p", tmp_path / "a", tmp_path / "b")
    assert found.preference == preference


@pytest.mark.parametrize("text", ["image_a", "image_a=", "picture=x", "image_a=x,image_a=y", ""])
def test_a_mapping_that_says_nothing_is_refused(text):
    with pytest.raises(ValueError, match="accepted: OURS=THEIRS"):
        parse_columns(text)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("image_a=nothere", "line 1: no column 'nothere' for image_a; found: prompt"),
        ("preference=x", "line 1: no column 'x' for preference"),
        ("preference=prompt:preference", "line 1: prompt is 'p'; accepted: a number of votes"),
    ],
)
def test_a_mapping_to_what_is_not_there_names_the_row(tmp_path, columns, message):
    path = write_lines(tmp_path / "pairs.jsonl", [ROW])
    with pytest.raises(ValueError, match=message):
        list(read_comparisons(path, columns=parse_columns(columns)))
    with pytest.raises(ValueError, match="hpdv3 knows its own columns"):
        list(read_comparisons(path, "hpdv3", columns={"prompt": "p"}))


def test_missing_columns_are_named(tmp_path):
    path = write_lines(tmp_path / "pairs.jsonl", [{"prompt": "p", "image_a": "a.png"}])
    with pytest.raises(ValueError, match=r"line 1: no column image_b, preference; found: prompt, image_a"):
        list(read_comparisons(path))


def test_unknown_columns_can_be_left_out_by_name(tmp_path):
    path = write_lines(tmp_path / "pairs.jsonl", [ROW | {"model": "m"}])
    assert len(list(read_comparisons(path, ignore_columns=["model"]))) == 1


def test_missing_weights_and_numbers_as_identifiers(tmp_path):
    path = write_lines(tmp_path / "pairs.jsonl", [ROW | {"weight": None, "pair_id": 12}])
    assert next(read_comparisons(path)).weight == 1.0
    assert next(read_comparisons(path)).pair_id == "12"
    rows = [["prompt", "image_a", "image_b", "preference", "weight", "source"], ["p", "a", "b", "0.5", "", ""]]
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    read = next(read_comparisons(tmp_path / "pairs.csv"))
    assert (read.weight, read.source, read.is_tie) == (1.0, None, True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", '{"prompt": \n', "line 1: not a JSON value"),
        ("x.jsonl", "[1]\n", "line 1: holds a JSON list; expected an object"),
        ("x.json", "", "x.json: holds nothing; expected a JSON list"),
        ("x.json", '{"prompt": "p"}\n{"prompt": "q"}', r"holds an object; expected a JSON list .*call it \.jsonl"),
        ("x.json", "nonsense", "text that begins with 'n'"),
        ("x.json", "[", "row 1: not JSON from here on"),
        ("x.json", "[1]", "row 1: holds a JSON int; expected an object"),
        ("x.json", "[] []", "row 1: not JSON from here on"),
        ("x.csv", "prompt,image_a,image_b,preference\np,a,b\n", "line 2: 3 cells, but the header names 4"),
        ("x.csv", 'prompt,image_a,image_b,preference\n"p,a,b,1\n', "not CSV from here on"),
        ("x.parquet", "nonsense", "not a Parquet file"),
        ("x.xlsx", "", r"unknown format '\.xlsx'; accepted: \.jsonl"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        list(read_comparisons(tmp_path / name))


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_text_of_another_encoding_names_the_file(tmp_path, suffix):
    (tmp_path / f"x{suffix}").write_bytes('[{"prompt": "café"}]'.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"x\{suffix}.*UTF-?8"):
        list(read_comparisons(tmp_path / f"x{suffix}"))


def test_json_lists_and_blank_lines_are_read(tmp_path):
    (tmp_path / "pairs.json").write_text(json.dumps([ROW, ROW]))
    (tmp_path / "pairs.jsonl").write_text(f"\n{json.dumps(ROW)}\n\n")
    assert len(list(read_comparisons(tmp_path / "pairs.json"))) == 2
    assert len(list(read_comparisons(tmp_path / "pairs.jsonl"))) == 1


def test_a_folder_stands_for_its_table_or_its_parquet_files(tmp_path, pairs):
    with pytest.raises(FileNotFoundError, match=r"holds no comparisons; expected in a folder: comparisons\.jsonl"):
        list(read_comparisons(tmp_path))
    for number, pair in enumerate(pairs):
        write_comparisons(tmp_path / f"part-{number}.parquet", [pair])
    assert list(read_comparisons(tmp_path)) == pairs
    write_comparisons(tmp_path / "comparisons.csv", pairs[:1])
    (tmp_path / "comparisons.csv.problems.jsonl").write_text("{}")
    assert list(read_comparisons(tmp_path)) == pairs[:1]
    write_comparisons(tmp_path / "comparisons.jsonl", pairs)
    with pytest.raises(ValueError, match=r"holds comparisons\.csv, comparisons\.jsonl; give the one that is meant"):
        list(read_comparisons(tmp_path))


def test_an_absent_file_and_an_unknown_source_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        list(read_comparisons(tmp_path / "absent.jsonl"))
    with pytest.raises(ValueError, match=r"unknown data source 'hpd9'; .*known sources: ours"):
        list(read_comparisons(tmp_path / "absent.jsonl", source="hpd9"))


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_says_what_it_is(name):
    assert SOURCES[name].about
