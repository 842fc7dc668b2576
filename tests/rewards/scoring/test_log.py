import json

import pyarrow.parquet as pq
import pytest

from dina_lrm.rewards.scoring.formats import FORMATS, ScoredRow
from dina_lrm.rewards.scoring.log import ScoreLog, check_table

SETTINGS = {"model": "synthetic", "noise_level": [0.4], "seed": 0}
ROWS = [
    ScoredRow("a.png", 'a "red",\nround\u2028thing', 1.25, -0.5, content="0a"),
    ScoredRow("b.png", "p", error="not a readable image, at all"),
    ScoredRow("c.png", "p\rq", -0.1, 2e-9, content="0c"),
]
SUFFIXES = pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])


def growing(path):
    return path.with_name(path.name + ".partial.jsonl") if path.suffix != ".jsonl" else path


def begun(path):
    log = ScoreLog(path, SETTINGS)
    log.begin(())
    return log


@SUFFIXES
def test_every_row_is_read_back_as_it_was_growing_and_finished(tmp_path, suffix):
    path = tmp_path / "below" / f"scores{suffix}"
    log = begun(path)
    log.append(ROWS[:2])
    log.append(ROWS[2:])
    for _ in range(2):
        again = ScoreLog(path, SETTINGS)
        assert again.rows == ROWS
        again.begin(again.rows)
        again.finish()
    assert path.exists()


@SUFFIXES
def test_the_file_holds_every_value(tmp_path, suffix):
    path = tmp_path / f"scores{suffix}"
    log = begun(path)
    log.append(ROWS)
    log.finish()
    assert FORMATS[suffix].read(path) == ROWS
    assert growing(path) == path or not growing(path).exists()
    if suffix == ".parquet":
        assert pq.read_table(path).column_names[:5] == ["image", "prompt", "score", "z", "error"]
    if suffix == ".jsonl":
        assert [ScoredRow(**json.loads(line)) for line in path.read_text().split("\n")[:-1]] == ROWS
    if suffix == ".csv":
        assert path.read_text().startswith("image,prompt,score,z,error,content\na.png,")


@SUFFIXES
def test_a_row_that_was_cut_off_anywhere_is_scored_again(tmp_path, suffix):
    path = tmp_path / f"scores{suffix}"
    log = begun(path)
    log.append(ROWS[2:])
    whole = len(growing(path).read_bytes())
    log.append(ROWS[:1])
    full = growing(path).read_bytes()
    for end in range(whole, len(full)):
        growing(path).write_bytes(full[:end])
        again = ScoreLog(path, SETTINGS)
        assert again.rows == ROWS[2:], full[:end]
        again.begin(again.rows)
        again.append(ROWS[:1])
        assert growing(path).read_bytes() == full


def test_a_table_that_an_earlier_version_let_grow_is_gone_on_with(tmp_path):
    path = tmp_path / "scores.csv"
    begun(path).append(ROWS[2:])
    ScoreLog(path, SETTINGS).finish()
    whole = path.read_bytes()
    for cut in (b"", b"b.png,p", b'b.png,"p', "b.png,\u00e9".encode()[:-1]):
        path.write_bytes(whole + cut)
        assert ScoreLog(path, SETTINGS).rows == ROWS[2:]


@SUFFIXES
def test_scores_of_other_settings_are_never_mixed(tmp_path, suffix):
    path = tmp_path / f"scores{suffix}"
    begun(path).append(ROWS)
    before = growing(path).read_bytes()
    with pytest.raises(
        ValueError, match=r"other settings: noise_level was \[0\.4\], now \[0\.2, 0\.5\]\. Give another"
    ):
        ScoreLog(path, {**SETTINGS, "noise_level": (0.2, 0.5)})
    assert growing(path).read_bytes() == before


def test_a_file_of_unknown_origin_is_left_alone(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"exists, and no scores\.csv\.settings\.json says what made it"):
        ScoreLog(path, SETTINGS)
    (tmp_path / "scores.csv.settings.json").write_text(json.dumps(SETTINGS))
    path.write_text("mine,yours\n1,2\n")
    with pytest.raises(
        ValueError, match=r"not a table of scores \(columns mine, yours; a table of scores has image, prompt"
    ):
        ScoreLog(path, SETTINGS)
    assert path.read_text() == "mine,yours\n1,2\n"


def test_an_unknown_format_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"unknown format '\.xls'; accepted: \.csv, \.jsonl, \.parquet"):
        ScoreLog(tmp_path / "scores.xls", SETTINGS)


@pytest.mark.parametrize("made", ["folder", "below a file"])
def test_a_table_that_cannot_be_written_is_refused_before_anything_else(made, tmp_path):
    path = tmp_path / "scores.csv"
    path.mkdir() if made == "folder" else (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"is no file|file is a file"):
        check_table(path if made == "folder" else tmp_path / "file" / "scores.csv")


def test_settings_that_are_torn_are_named(tmp_path):
    begun(tmp_path / "scores.csv")
    (tmp_path / "scores.csv.settings.json").write_text("")
    with pytest.raises(ValueError, match=r"scores\.csv\.settings\.json: not a JSON value"):
        ScoreLog(tmp_path / "scores.csv", SETTINGS)


def test_settings_that_earlier_versions_did_not_keep_are_added_and_then_compared(tmp_path):
    path = tmp_path / "scores.csv"
    begun(path)
    now = {**SETTINGS, "generator": "0a"}
    ScoreLog(path, now).begin(())
    with pytest.raises(ValueError, match="generator was '0a', now '0b'"):
        ScoreLog(path, {**SETTINGS, "generator": "0b"})
    with pytest.raises(ValueError, match="generator was '0a', now None"):
        ScoreLog(path, SETTINGS)
