"""Laws of layouts: a table in any of them says what our own says, in every format; what is not quite one is told."""

import csv
import json
import logging
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dina_lrm.data.checking import check_comparisons
from dina_lrm.data.sources import SOURCES, read_comparisons, source_rows, write_comparisons
from dina_lrm.data.sources.columns import parse_columns
from dina_lrm.data.sources.layouts import LAYOUTS, OWN_LAYOUTS, recognised

SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
PAIRS = [("a red ball", "a.png", "b.png"), ("a blue cube", "c.png", "d.png"), ("a red ball", "b.png", "d.png")]


def paired(first, second, *labels):
    """Rows of the three pairs under two names of images, with the values of further columns by row."""
    names = ("prompt", first, second)
    return [dict(zip(names, pair, strict=True)) | more for pair, more in zip(PAIRS, labels, strict=True)]


def voted(first, second, *counts):
    return [{first: counts[0], second: counts[1]} for counts in counts]


def own(*preferences, votes=(None, None, None)):
    """The same pairs as tables of our own have them."""
    return [(*pair, value, count) for pair, value, count in zip(PAIRS, preferences, votes, strict=True)]


WEIGHTED = ("weighted_results_image1_preference", "weighted_results_image2_preference")
RANKED = [("p", "a.png", "b.png", 1.0, None), ("p", "a.png", "c.png", 1.0, None), ("p", "b.png", "c.png", 1.0, None)]
TABLES = {
    "chosen-rejected": (paired("chosen", "rejected", {}, {}, {}), own(1.0, 1.0, 1.0)),
    "two-labels": (
        paired("image_0", "image_1", *voted("label_0", "label_1", (1, 0), (0.5, 0.5), (0, 1))),
        own(1.0, 0.5, 0.0),
    ),
    "votes": (
        paired("image1", "image2", *voted("votes_image1", "votes_image2", (20, 5), (0, 3), (4, 4))),
        own(0.8, 0.0, 0.5, votes=(25, 3, 8)),
    ),
    "weighted-votes": (
        paired("image1", "image2", *voted(*WEIGHTED, (3.5, 0.5), (1, 1), (0, 2))),
        own(0.875, 0.5, 0.0),
    ),
    "preferred": (
        paired("image1", "image2", {"preference": "image1"}, {"preference": "tie"}, {"preference": "image2"}),
        own(1.0, 0.5, 0.0),
    ),
    "path1-path2": (
        paired("path1", "path2", {"choice_dist": "[8, 2]"}, {"choice_dist": "[3, 1]"}, {"choice_dist": "[1, 0]"}),
        own(0.8, 0.75, 1.0, votes=(10, 4, 1)),
    ),
    "ranked": ([{"prompt": "p", "ranked": ["a.png", "b.png", "c.png"]}], RANKED),
    "ranks": ([{"prompt": "p", "images": ["c.png", "a.png", "b.png"], "ranks": [3, 1, 2]}], RANKED),
}


def write(path, rows):
    """Rows as a table in the format of its name; lists in CSV as JSON text."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows([{k: json.dumps(v) if isinstance(v, list) else v for k, v in r.items()} for r in rows])
    else:
        lines = "\n".join(map(json.dumps, rows))
        path.write_text(lines if path.suffix == ".jsonl" else json.dumps(rows))
    return path


def facts(comparisons, folder):
    """What comparisons say, whichever image is called the first."""
    found = set()
    for one in comparisons:
        names = [str(image.relative_to(folder)) for image in (one.image_a, one.image_b)]
        sides = sorted(zip(names, (one.preference, 1 - one.preference), strict=True))
        found.add((one.prompt, *sides, one.votes))
    return found


def expected(rows):
    return {
        (prompt, *sorted(((first, value), (second, 1 - value))), count) for prompt, first, second, value, count in rows
    }


def test_every_layout_of_a_users_own_has_a_table_here_and_is_a_source():
    assert set(TABLES) == set(OWN_LAYOUTS) and set(OWN_LAYOUTS) <= set(SOURCES)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", TABLES)
def test_a_table_in_any_layout_and_format_says_what_our_own_says(name, suffix, tmp_path):
    rows, says = TABLES[name]
    path = write(tmp_path / f"table{suffix}", rows)
    found = list(read_comparisons(path))
    assert facts(found, tmp_path) == expected(says)
    assert recognised(rows[0]).name == name
    assert facts(read_comparisons(path, name), tmp_path) == expected(says)
    write_comparisons(tmp_path / "ours.jsonl", found)
    assert list(read_comparisons(tmp_path / "ours.jsonl")) == found


@pytest.mark.parametrize("name", [name for name, layout in OWN_LAYOUTS.items() if not layout.preferred_first])
def test_sides_stay_where_the_table_does_not_name_the_preferred_first(name, tmp_path):
    found = read_comparisons(write(tmp_path / "t.jsonl", TABLES[name][0]))
    told = [(one.prompt, one.image_a.name, one.image_b.name, one.preference, one.votes) for one in found]
    assert told == TABLES[name][1]


@pytest.mark.parametrize("name", [name for name, layout in OWN_LAYOUTS.items() if layout.preferred_first])
def test_sides_are_a_coin_of_seed_and_content_alone(name, tmp_path):
    rows = TABLES[name][0]
    many = [{**row, "prompt": f"{row['prompt']} {n}"} for n in range(40) for row in rows]
    found = list(read_comparisons(write(tmp_path / "t.jsonl", many)))
    share = sum(one.preference > 0.5 for one in found) / len(found)
    assert 0.3 < share < 0.7
    other = list(read_comparisons(write(tmp_path / "other.json", many[::-1])))
    assert {(one.prompt, one.image_a, one.image_b) for one in other} == {
        (one.prompt, one.image_a, one.image_b) for one in found
    }
    again = list(read_comparisons(tmp_path / "t.jsonl", seed=1))
    assert any(one != two for one, two in zip(found, again, strict=True))
    assert all(one in (two, two.swapped()) for one, two in zip(found, again, strict=True))


def test_names_weights_and_votes_are_taken_in_any_layout(tmp_path):
    row = {"Caption": "p", "chosen_file_name": "a", "rejected_file_name": "b", "weight": 2, "source": "s", "pair_id": 7}
    (found,) = read_comparisons(write(tmp_path / "t.jsonl", [row | {"votes": 3}]))
    assert (found.prompt, found.weight, found.source, found.pair_id, found.votes) == ("p", 2.0, "s", "7", 3)
    ranked = {"prompt": "p", "ranked": ["a", "b", "c"], "pair_id": "r"}
    assert {one.pair_id for one in read_comparisons(write(tmp_path / "r.jsonl", [ranked]))} == {"r-0", "r-1", "r-2"}


def test_a_line_says_which_layout_was_recognised_and_what_was_taken(tmp_path, caplog):
    caplog.set_level(logging.INFO, "dina_lrm")
    row = {"caption": "p", "chosen": "a.png", "rejected": "b.png", "model": "m"}
    list(read_comparisons(write(tmp_path / "pairs.csv", [row, row])))
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'pairs.csv'}: read as chosen-rejected: prompt = caption, preferred image = chosen, other image = "
        "rejected; sides by a coin of each row's content; not read: model"
    ]


@pytest.mark.parametrize("name", ["hpdv3", "hpdv2", "imagereward", "genai-bench", "pick-a-pic", "released-latents"])
def test_a_table_of_a_published_set_is_read_as_its_source_reads_it(name, tmp_path):
    from tests.data.published import LAYOUTS as PUBLISHED

    PUBLISHED[name](tmp_path)
    (table,) = SOURCES[name].tables(tmp_path, SOURCES[name].splits[0] if SOURCES[name].splits else None)
    assert list(read_comparisons(table)) == list(read_comparisons(table, name))


NOT_QUITE = [
    (
        {"title": "a ball", "chosen": "a.png", "rejected": "b.png"},
        "no column prompt for chosen-rejected",
        "prompt=title",
    ),
    (
        {"prompt": "p", "left_pic": "a.png", "right_pic": "b.png", "label_0": 1, "label_1": 0},
        "no column image_a, image_b for two-labels",
        "image_a=left_pic,image_b=right_pic",
    ),
    (
        {"prompt": "p", "image1": "a.png", "image2": "b.png", "ups": 3, "downs": 1},
        "no column votes_a, votes_b for votes",
        "votes_a=ups,votes_b=downs",
    ),
    ({"q": "a ball on grass", "id": "x1", "ranked": ["a.png", "b.png"]}, "no column prompt for ranked", "prompt=q"),
]


@pytest.mark.parametrize(("row", "message", "columns"), NOT_QUITE)
def test_the_mapping_that_an_error_names_reads_the_table(row, message, columns, tmp_path):
    path = write(tmp_path / "pairs.jsonl", [row])
    with pytest.raises(ValueError, match=rf"line 1: {message} .*; add --columns {columns}; found: "):
        list(read_comparisons(path))
    (found,) = read_comparisons(path, columns=parse_columns(columns))
    assert {found.image_a.name, found.image_b.name} == {"a.png", "b.png"}


@pytest.mark.parametrize(
    ("won", "how", "preference"),
    [("y", "won", 0.0), ("tie", "won", 0.5), (0.3, "won", 0.3), (-1, "signed:won", 0.0)],
)
def test_a_table_that_only_its_cells_tell_is_mapped_as_they_do(won, how, preference, tmp_path):
    path = write(tmp_path / "pairs.jsonl", [{"q": "a red ball", "x": "a.png", "y": "b.png", "won": won}])
    columns = f"prompt=q,image_a=x,image_b=y,preference={how}"
    with pytest.raises(ValueError, match=rf"add --columns {columns}; found: q, x, y, won"):
        list(read_comparisons(path))
    (found,) = read_comparisons(path, columns=parse_columns(columns))
    assert (found.image_a.name, found.preference) == ("a.png", preference)


def test_how_a_number_is_meant_is_left_to_say(tmp_path):
    path = write(tmp_path / "pairs.jsonl", [{"prompt": "p", "image_a": "a.png", "image_b": "b.png", "won": 1}])
    told = "line 1: no column preference; add --columns preference=HOW:won, where HOW is signed .*; found"
    with pytest.raises(ValueError, match=told):
        list(read_comparisons(path))
    assert next(read_comparisons(path, columns={"preference": "index:won"})).preference == 0.0


def test_votes_against_the_named_winner_are_counted_in_a_recognised_table_too(tmp_path):
    for more in ({}, {"confidence": 0.5}):
        row = {"prompt": "p", "path1": "a.png", "path2": "b.png", "choice_dist": [1, 3]} | more
        report = check_comparisons(lambda: source_rows("ours", write(tmp_path / "t.jsonl", [row])))  # noqa: B023
        assert report.count("conflict") == 1


@pytest.mark.parametrize(
    ("how", "labels", "preferences"),
    [
        ("signed", (-1, 0, 1), [0.0, 0.5, 1.0]),
        ("index", (1, 0, 0), [0.0, 1.0, 1.0]),
        ("side", (2, 1, 1), [0.0, 1.0, 1.0]),
    ],
)
def test_labels_that_are_numbers_are_read_when_it_is_said_how_they_are_meant(how, labels, preferences, tmp_path):
    rows = paired("image1", "image2", *({"label": label} for label in labels))
    for suffix in (".jsonl", ".csv"):
        path = write(tmp_path / f"t{suffix}", rows)
        with pytest.raises(
            ValueError, match=rf"label is .*; numbers are read as --columns preference=HOW:label .* {how}"
        ):
            list(read_comparisons(path))
        found = read_comparisons(path, columns=parse_columns(f"preference={how}:label"))
        assert [one.preference for one in found] == preferences
    with pytest.raises(ValueError, match=rf"line 1: label is 7; accepted as {how}: "):
        list(
            read_comparisons(
                write(tmp_path / "u.jsonl", [rows[0] | {"label": 7}]), columns={"preference": f"{how}:label"}
            )
        )


BAD = [
    ("chosen-rejected", {"chosen": 3}, "chosen is 3; give the path"),
    ("chosen-rejected", {"prompt": 3}, "prompt is 3; accepted: text"),
    ("two-labels", {"label_0": 0.2}, "label_0 and label_1 are 0.2 and 0; accepted: labels"),
    ("two-labels", {"label_0": "x"}, "label_0 is 'x'; accepted: a label"),
    ("two-labels", {"has_label": "maybe"}, "has_label is 'maybe'; accepted: true or false"),
    ("votes", {"votes_image1": 0, "votes_image2": 0}, "votes_image1 and votes_image2 are 0 and 0; accepted: whole"),
    ("votes", {"votes_image1": 0.5}, "votes_image1 and votes_image2 are 0.5 and 5; accepted: whole"),
    ("preferred", {"preference": "image3"}, "preference is 'image3'; accepted: the name of an image's column, or tie"),
    ("preferred", {"preference": 2}, "preference is 2; accepted: .* preference=HOW:preference says"),
    ("path1-path2", {"choice_dist": "[1]"}, r"choice_dist is '\[1\]'; accepted: nothing, or two"),
    ("ranked", {"ranked": "a.png"}, "ranked is 'a.png'; accepted: a list"),
    ("ranked", {"ranked": ["a.png"]}, "1 images; accepted: at least two"),
    ("ranks", {"ranks": [1, 2]}, "3 images and 2 ranks"),
    ("votes", {"weight": -1}, "weight is -1.0; give a finite number"),
]


@pytest.mark.parametrize(("name", "change", "message"), BAD)
def test_a_wrong_value_names_file_row_and_the_tables_own_column(name, change, message, tmp_path):
    rows = TABLES[name][0]
    path = write(tmp_path / "t.jsonl", [rows[0] | change, *rows[1:]])
    with pytest.raises(ValueError, match=rf"t\.jsonl, line 1: {message}"):
        list(read_comparisons(path))


def test_rows_without_a_label_hold_no_judgement(tmp_path):
    rows = [row | {"has_label": number < 2} for number, row in enumerate(TABLES["two-labels"][0])]
    for suffix in SUFFIXES:
        assert len(list(read_comparisons(write(tmp_path / f"t{suffix}", rows)))) == 2


def test_a_layout_is_asked_for_by_name_where_a_table_fits_several(tmp_path):
    row = {"prompt": "p", "chosen": "a", "rejected": "b", "image1": "c", "image2": "d", "preference": "image1"}
    path = write(tmp_path / "t.jsonl", [row])
    for name, images in (("chosen-rejected", {"a", "b"}), ("preferred", {"c", "d"})):
        (found,) = read_comparisons(path, name)
        assert {found.image_a.name, found.image_b.name} == images
    with pytest.raises(ValueError, match="line 1: no column votes_a, votes_b for votes"):
        list(read_comparisons(path, "votes"))


def test_a_check_says_the_columns_and_how_they_were_read(tmp_path):
    path = write(tmp_path / "t.csv", TABLES["votes"][0])
    report = check_comparisons(lambda: source_rows("ours", path))
    assert report.columns == ("prompt", "image1", "image2", "votes_image1", "votes_image2")
    assert report.layout.startswith("read as votes: prompt, first image = image1, ")
    write(path, [{"title": "x", "chosen": "a.png", "rejected": "b.png"}])
    report = check_comparisons(lambda: source_rows("ours", path))
    assert report.layout == "none; nearest is chosen-rejected (prompt, chosen, rejected), without: prompt"
    assert report.facts()["columns"] == "title, chosen, rejected"


def test_every_layout_can_be_told(tmp_path):
    for name, layout in LAYOUTS.items():
        columns = [role for part in layout.parts for role in (part.named[0] if part.named else part.roles)]
        reading = recognised(columns, name)
        assert reading is not None and re.match(rf"read as {name}: \w", str(reading))
        assert layout.missing(columns[1:])


def test_a_folder_stands_for_the_table_in_it(tmp_path):
    rows, says = TABLES["chosen-rejected"]
    renamed = [
        {f"{name}_file_name" if name != "prompt" else "text": cell for name, cell in row.items()} for row in rows
    ]
    write(tmp_path / "anything.csv", rows)
    (tmp_path / "anything.csv.problems.jsonl").touch()
    assert facts(read_comparisons(tmp_path), tmp_path) == expected(says)
    write(tmp_path / "more.jsonl", rows)
    with pytest.raises(ValueError, match=r"holds anything\.csv, more\.jsonl; give the one that is meant"):
        list(read_comparisons(tmp_path))
    write(tmp_path / "metadata.jsonl", renamed)
    assert facts(read_comparisons(tmp_path), tmp_path) == expected(says)
    write(tmp_path / "comparisons.jsonl", TABLES["ranked"][0])
    assert facts(read_comparisons(tmp_path), tmp_path) == expected(RANKED)
