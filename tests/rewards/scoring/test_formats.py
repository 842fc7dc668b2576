"""Whatever stands in a prompt or a name comes back from CSV and JSONL as it was, to us and to pandas."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.rewards.scoring.formats import COLUMNS, FORMATS, ScoredRow, row_of
from dina_lrm.rewards.scoring.score import NamedScore

LINE_ENDS = "a\rb", "a\nb", "a\r\nb", "a\u2028b", "a\x85b", "a\x0bb", "a\x0cb", 'a"b', "a,b", "\ufeffa", " a ", "a\tb"
NAMED = {"a": NamedScore(1.0, -0.5), "B-2": NamedScore(-3e-9, 2.0)}
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


def written(path, rows):
    form = FORMATS[path.suffix]
    form.write(path, rows)
    return form


@pytest.mark.parametrize("suffix", FORMATS)
@given(texts=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
def test_any_text_comes_back(suffix, texts, tmp_path_factory):
    rows = [ScoredRow(image, prompt, 0.1, -2e-9, content="c") for image, prompt in texts]
    path = tmp_path_factory.mktemp("scores") / f"s{suffix}"
    assert written(path, rows).read(path) == rows


@pytest.mark.parametrize("suffix", FORMATS)
def test_scores_by_name_come_back_under_their_names(suffix, tmp_path):
    path = tmp_path / f"s{suffix}"
    none = dict.fromkeys(NAMED, NamedScore())
    rows = [
        ScoredRow("a.png", "p", 0.5, 1.0, content="c", named=NAMED),
        ScoredRow("b.png", "p", error="gone", named=none),
    ]
    assert written(path, rows).read(path) == rows
    if suffix == ".csv":
        assert path.read_text().splitlines()[0] == "image,prompt,score,z,error,content,score.a,z.a,score.B-2,z.B-2"


def test_pandas_reads_every_line_end_as_part_of_its_cell(tmp_path):
    pandas = pytest.importorskip("pandas")
    rows = [ScoredRow("a.png", text, 1.0, 0.5, content="c") for text in LINE_ENDS]
    written(tmp_path / "s.csv", rows)
    assert pandas.read_csv(tmp_path / "s.csv")["prompt"].tolist() == list(LINE_ENDS)


def test_tables_of_earlier_versions_are_read_without_a_content(tmp_path):
    (tmp_path / "s.csv").write_text("image,prompt,score,z,error\na.png,p,1.5,0.5,\nb.png,p,,,gone\n")
    expected = [ScoredRow("a.png", "p", 1.5, 0.5), ScoredRow("b.png", "p", error="gone")]
    assert FORMATS[".csv"].read(tmp_path / "s.csv") == expected
    lines = [{name: value for name, value in row.cells().items() if name != "content"} for row in expected]
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert FORMATS[".jsonl"].read(tmp_path / "s.jsonl") == expected


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"score": float("nan")}, "score is nan"),
        ({"score": "1"}, "score is '1'"),
        ({"score": True}, "score is True"),
        ({"image": None}, "image is None"),
        ({"score": None}, "has neither score and error"),
        ({"error": "x"}, "has both score and error"),
        ({"more": 1}, "columns image, prompt, score, z, error, content, .*, more; a table"),
        ({"score.b": 1.0}, "columns .*, score.b; a table of scores has"),
        ({"score.1": 1.0, "z.1": 1.0}, "columns .*, score.1, z.1; a table of scores has"),
        ({"z.a": None}, "has a score and no a"),
        ({"score.a": "1"}, "score.a is '1'"),
    ],
)
def test_what_no_score_can_be_is_refused(change, told):
    with pytest.raises(ValueError, match=told):
        row_of({**ScoredRow("a.png", "p", 1.0, 0.5, content="c", named=NAMED).cells(), **change})


@pytest.mark.parametrize("cells", ["a.png,p,1,2,", 'a.png,p,1,2,,"c" d', "a.png,p,much,2,,c", "a.png,p,nan,2,,c"])
def test_a_damaged_row_in_the_middle_is_no_end_of_the_table(cells, tmp_path):
    whole = "a.png,p,1.0,2.0,,c\n"
    (tmp_path / "s.csv").write_text(",".join(COLUMNS) + "\n" + whole + cells + "\n" + whole)
    with pytest.raises(ValueError, match=r"."):
        FORMATS[".csv"].read(tmp_path / "s.csv")
