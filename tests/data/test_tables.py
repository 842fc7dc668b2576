"""Readers of tables: one verdict for one content, whatever the format, and nothing read in silence."""

import csv
import io
import json
import tracemalloc

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dina_lrm.data.sources import json_rows
from dina_lrm.data.sources.folders import left_out, own_tables, split_tables
from dina_lrm.data.sources.tables import scan_rows

ITEMS = [
    '{"prompt": "a", "n": 1}',
    '{"prompt": "a \\"quoted\\" \\\\ text, [{"}',
    '{"a": NaN}',
    '{"a": -Infinity}',
    '{"a": 1e999}',
    '{"a": 1, "a": 2}',
    '{"a": "half \\ud83d"}',
    '{"a": "whole \\ud83d\\ude00"}',
    '{"a": ' + "[" * 100 + "]" * 100 + "}",
    '{"a": {"b": [1, 2.5, null, true]}}',
    "[1]",
    "12",
    '"text"',
    "null",
]


def verdicts(path):
    return [(row.values, row.fault) for row in scan_rows(path)]


def test_a_json_list_and_lines_of_json_are_read_alike(tmp_path):
    (tmp_path / "t.jsonl").write_text("\n".join(ITEMS))
    (tmp_path / "t.json").write_text("[" + " ,\n ".join(ITEMS) + "]\n")
    lines, items = verdicts(tmp_path / "t.jsonl"), verdicts(tmp_path / "t.json")
    assert lines == items
    assert [fault is None for _, fault in lines] == [i in (0, 1, 7, 9) for i in range(len(ITEMS))]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv"])
def test_a_byte_order_mark_is_no_part_of_a_table(tmp_path, suffix):
    text = {".jsonl": '{"a": "b"}\n', ".json": '[{"a": "b"}]'}.get(suffix, "a\nb\n")
    (tmp_path / f"t{suffix}").write_text(text, encoding="utf-8-sig")
    assert verdicts(tmp_path / f"t{suffix}") == [({"a": "b"}, None)]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
def test_where_a_list_is_cut_for_reading_does_not_matter(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(json_rows, "_CHUNK", chunk)
    (tmp_path / "t.json").write_text(" [ " + ", ".join([*ITEMS, "1234567"]) + " ] ")
    (tmp_path / "t.jsonl").write_text("\n".join([*ITEMS, "1234567"]))
    assert verdicts(tmp_path / "t.json") == verdicts(tmp_path / "t.jsonl")


@pytest.mark.parametrize("text", ['[{"a": 1}, ]', '[{"a": 1} {"a": 2}]', '[{"a": 1}', '[{"a": 1}] x', '[{"a": 1}, {"a'])
def test_a_damaged_list_is_read_up_to_the_damage(tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    good, bad = scan_rows(tmp_path / "t.json")
    assert (good.values, good.fault) == ({"a": 1}, None)
    assert bad.place == "row 2"
    assert bad.fault.startswith("not JSON from here on")


@pytest.mark.parametrize("name", ["deep.json", "deep.jsonl", "objects.json"])
def test_nesting_costs_no_memory(tmp_path, name):
    (tmp_path / name).write_text('{"a":' * 40_000 if name.startswith("objects") else "[" * 40_000)
    if name == "objects.json":
        (tmp_path / name).write_text("[" + (tmp_path / name).read_text())
    tracemalloc.start()
    (row,) = scan_rows(tmp_path / name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "nested" in row.fault
    assert peak < 2**24


def test_a_row_without_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("dina_lrm.data.sources.json_rows.MAX_ROW", 1000)
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n{"a": "' + "x" * 5000)
    first, second = scan_rows(tmp_path / "t.jsonl")
    assert first.fault is None
    assert second.fault == "longer than 1000 bytes, and left unread from here on"


CELLS = ["plain", 'a "red" square', '"all" quoted', "tab\there", "two\nlines", "", '"', 'end"', "a,b", "ünï 🙂"]


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t")])
def test_what_pandas_writes_is_read_back(tmp_path, suffix, separator):
    frame = pandas.DataFrame({"prompt": CELLS, "n": [str(i) for i in range(len(CELLS))]})
    frame.to_csv(tmp_path / f"t{suffix}", sep=separator, index=False)
    assert [values for values, _ in verdicts(tmp_path / f"t{suffix}")] == frame.to_dict("records")


def test_quotation_marks_of_a_published_tsv_are_text(tmp_path):
    cells = ['"G I G G L E" painted on a wall', 'the words "Fly" and "no"', "plain"]
    (tmp_path / "t.tsv").write_text("Prompt\tCategory\n" + "".join(f"{cell}\tArts\n" for cell in cells))
    assert [values["Prompt"] for values, _ in verdicts(tmp_path / "t.tsv")] == cells


def test_a_quotation_mark_that_nothing_closes_is_named_by_its_line(tmp_path):
    (tmp_path / "t.tsv").write_text('prompt\tn\na\t1\n"never\t2\nb\t3\n')
    good, bad = scan_rows(tmp_path / "t.tsv")
    assert (good.place, bad.place) == ("line 2", "line 3")
    assert "nothing closes it" in bad.fault


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_column_that_is_there_twice_is_refused(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table([["a"], ["b"], ["c"]], names=["x", "y", "x"]), path)
    else:
        separator = "," if suffix == ".csv" else "\t"
        path.write_text(separator.join("xyx") + "\n" + separator.join("abc") + "\n")
    with pytest.raises(ValueError, match=rf"t\{suffix}: the column 'x' is there twice"):
        list(scan_rows(path))


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t")])
def test_nul_characters_are_no_text(tmp_path, suffix, separator):
    (tmp_path / f"t{suffix}").write_text(f"a{separator}b\n1{separator}2\n1\0{separator}2\n")
    good, bad = scan_rows(tmp_path / f"t{suffix}")
    assert good.fault is None
    assert (bad.place, "NUL" in bad.fault) == ("line 3", True)


def test_csv_rows_are_those_of_the_csv_module(tmp_path):
    rows = [["a", "b"], *([cell, str(i)] for i, cell in enumerate(CELLS))]
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    (tmp_path / "t.csv").write_text(buffer.getvalue(), newline="")
    assert [list(values.values()) for values, _ in verdicts(tmp_path / "t.csv")] == rows[1:]


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_cut_parquet_file_is_named(tmp_path, keep):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [str(i) * 50 for i in range(2000)]}), path, row_group_size=100)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"t\.parquet: not a Parquet file"):
        list(scan_rows(path))


def shards(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        pq.write_table(pa.table({"a": [name]}), folder / name)


def test_shards_that_are_not_there_are_named(tmp_path):
    shards(tmp_path, "test-00001-of-00003.parquet")
    for tables in (lambda: own_tables(tmp_path), lambda: split_tables(tmp_path, "test")):
        with pytest.raises(ValueError, match="2 of 3 shards are not there: test-00000-of-00003, test-00002-of-00003"):
            tables()
    shards(tmp_path, "test-00000-of-00003.parquet", "test-00002-of-00003.parquet")
    assert len(own_tables(tmp_path)) == len(split_tables(tmp_path, "test")) == 3
    shards(tmp_path, "test-00000-of-00001.parquet")
    with pytest.raises(ValueError, match="the shards of test are of 1 and 3"):
        own_tables(tmp_path)


def test_what_is_read_and_what_is_left_out_are_all_that_there_is(tmp_path):
    shards(tmp_path / "data", "test-00000-of-00001.parquet", "train-00000-of-00001.parquet")
    shards(tmp_path, "extra.parquet", "._hidden.parquet")
    for name in ("test.json.gz", "notes.txt", "test.parquet.problems.jsonl"):
        (tmp_path / name).write_text("")
    read = split_tables(tmp_path, "test")
    names = [path.name for path in left_out(tmp_path, read)]
    assert [path.name for path in read] == ["test-00000-of-00001.parquet"]
    assert names == ["train-00000-of-00001.parquet", "extra.parquet", "test.json.gz"]
    (tmp_path / "comparisons.csv").write_text(json.dumps({}))
    assert "extra.parquet" in [path.name for path in left_out(tmp_path, own_tables(tmp_path))]
    assert left_out(read[0], read) == []
