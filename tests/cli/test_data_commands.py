"""`data check`, `prepare`, `score` and `compare` on a tiny generator and a tiny reward model."""

import csv
import json
import subprocess

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from dina_lrm.cli.main import main
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import write_comparisons
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.json_files import read_json_lines
from tests.models import tiny_reward_model


@pytest.fixture(scope="module")
def model_folder(tiny_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_reward_model(tiny_folder, score_mean=0.5, score_std=2.0).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    """Four pictures of 32 x 32, one of another shape, and their comparisons."""
    generator = torch.Generator().manual_seed(0)
    (tmp_path / "images").mkdir()
    for name, width in (("a", 32), ("b", 32), ("c", 32), ("wide", 48)):
        pixels = torch.randint(0, 256, (32, width, 3), generator=generator).to(torch.uint8)
        Image.fromarray(pixels.numpy()).save(tmp_path / "images" / f"{name}.png")
    images = tmp_path / "images"
    pairs = [
        Comparison("a red cube", images / "a.png", images / "b.png", 1.0),
        Comparison("a red cube", images / "b.png", images / "c.png", 0.5),
        Comparison("a blue ball", images / "wide.png", images / "a.png", 1.0),
    ]
    write_comparisons(tmp_path / "pairs.jsonl", pairs)
    return tmp_path


def run(*words, json_file=None):
    target = [] if json_file is None else ["--json", str(json_file)]
    return main([*map(str, words), *target])


def add_bad_pair(folder):
    with (folder / "pairs.jsonl").open("a") as file:
        file.write(
            json.dumps({"prompt": "p", "image_a": "images/a.png", "image_b": "gone.png", "preference": 1}) + "\n"
        )


def test_check_describes_a_clean_file(folder, capsys):
    assert run("data", "check", folder / "pairs.jsonl", "--strict", json_file=folder / "r.json") == 0
    result = json.loads((folder / "r.json").read_text())
    assert (result["rows"], result["ties"], result["images"], result["problems"]) == (3, 1, 4, {})
    assert result["sizes"] == {"32x32": 3, "48x32": 1}
    assert "32x32 (3), 48x32 (1)" in capsys.readouterr().out
    assert not (folder / "pairs.jsonl.problems.jsonl").exists()


def test_check_lists_problems_and_fails_only_when_strict(folder, capsys):
    add_bad_pair(folder)
    assert run("data", "check", folder / "pairs.jsonl") == 0
    assert run("data", "check", folder / "pairs.jsonl", "--strict", json_file=folder / "r.json") == 1
    assert "1 problems (1 x missing image), listed in" in capsys.readouterr().err
    listed = json.loads((folder / "pairs.jsonl.problems.jsonl").read_text())
    assert (listed["fault"], listed["reason"]) == ("missing image", "no such image file")
    assert json.loads((folder / "r.json").read_text())["problems"] == {"missing image": 1}


def test_prepare_makes_a_cache_of_the_generators_resolution(folder, tiny_folder, capsys):
    words = ("prepare", folder / "pairs.jsonl", "--backbone", tiny_folder, "--out", folder / "cache")
    assert run(*words, json_file=folder / "r.json") == 0
    result = json.loads((folder / "r.json").read_text())
    assert (result["pairs"], result["images"], result["ties"], result["resolution"]) == (3, 4, 1, 32)
    assert len(EncodedComparisons.load(folder / "cache")) == 3
    assert "3 comparisons (1 ties) of 4 images and 2 prompts" in capsys.readouterr().out
    assert run(*words) == 2
    assert "exists already" in capsys.readouterr().err


def test_prepare_tells_what_is_missing_or_stops(folder, tiny_folder, capsys):
    add_bad_pair(folder)
    words = ("prepare", folder / "pairs.jsonl", "--backbone", tiny_folder, "--dtype", "float16", "--out")
    assert run(*words, folder / "cache") == 0
    assert "1 comparisons are missing: 1 images cannot be read" in capsys.readouterr().out
    assert run(*words, folder / "other", "--on-bad", "raise") == 2
    assert "comparison 3: " in capsys.readouterr().err


def test_prepare_checks_every_row_before_it_encodes(folder, tiny_folder, capsys):
    with (folder / "pairs.jsonl").open("a") as file:
        file.write("{}\n")
    assert run("prepare", folder / "pairs.jsonl", "--backbone", tiny_folder, "--out", folder / "cache") == 2
    assert "pairs.jsonl, line 4: no column prompt" in capsys.readouterr().err
    assert not (folder / "cache.partial").exists()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_score_writes_what_the_model_says_and_resumes(folder, model_folder, suffix, capsys):
    out = folder / f"scores{suffix}"
    words = ("score", "--images", folder / "images", "--prompts", "a red cube", "--model", model_folder, "--out", out)
    assert run(*words, "--batch-size", "3", json_file=folder / "r.json") == 0
    result = json.loads((folder / "r.json").read_text())
    assert (result["rows"], result["scored"], result["failed"], result["noise_level"]) == (4, 4, 0, None)
    if suffix == ".csv":
        with out.open(newline="") as file:
            table = list(csv.DictReader(file))
    elif suffix == ".jsonl":
        table = [json.loads(line) for line in out.read_text().splitlines()]
    else:
        table = pq.read_table(out).to_pylist()
    model = LatentRewardModel.from_pretrained(model_folder)
    scores = model.score([folder / "images" / row["image"] for row in table[:3]], "a red cube")
    torch.testing.assert_close(torch.tensor([float(row["score"]) for row in table[:3]]), scores, rtol=1e-4, atol=1e-5)
    assert run(*words) == 0
    assert "0 of 4 images scored" in capsys.readouterr().out
    assert run(*words, "--noise-level", "0.1") == 2
    assert "noise_level was [0.4], now [0.1]" in capsys.readouterr().err


def test_score_reports_bad_files_and_exits_with_1(folder, model_folder, capsys):
    (folder / "images" / "broken.png").write_bytes(b"no image")
    words = ("score", "--images", folder / "images", "--prompts", "a red cube", "--model", model_folder)
    assert run(*words, "--out", folder / "scores.csv", "--ensemble", "0.2,0.5,0.7", json_file=folder / "r.json") == 1
    assert "1 of 5 images have no score; the column error" in capsys.readouterr().err
    result = json.loads((folder / "r.json").read_text())
    assert (result["scored"], result["failed"], result["noise_level"]) == (4, 1, [0.2, 0.5, 0.7])
    with (folder / "scores.csv").open(newline="") as file:
        assert {row["image"]: bool(row["error"]) for row in csv.DictReader(file)}["broken.png"]


def test_a_retrained_model_of_the_same_name_is_another_model(folder, tiny_folder, capsys):
    words = ("score", "--images", folder / "images", "--prompts", "a red cube", "--model", folder / "m")
    tiny_reward_model(tiny_folder).save_pretrained(folder / "m")
    assert run(*words, "--out", folder / "scores.csv") == 0
    (folder / "m").rename(folder / "old")
    tiny_reward_model(tiny_folder, score_mean=1.0).save_pretrained(folder / "m")
    assert run(*words, "--out", folder / "scores.csv") == 2
    assert "holds scores made with other settings: weights was" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["text.csv", "empty.jsonl", "list.json"])
@pytest.mark.parametrize(
    "words",
    [
        ("data", "filter", "TABLE", "--drop-ties", "--out", "out.jsonl"),
        ("prepare", "TABLE", "--backbone", "synthetic", "--out", "out"),
        ("evaluate", "sharpness", "--on", "TABLE", "--out", "out"),
        ("score", "--images", "TABLE", "--prompts", "a cube", "--model", "synthetic", "--out", "out.csv"),
    ],
)
def test_a_table_without_rows_is_named(words, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text({"text.csv": "hello\n", "empty.jsonl": "", "list.json": "[]"}[name])
    assert run(*(name if word == "TABLE" else word for word in words)) in (1, 2)
    assert name in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("words", [("cache", "verify", ""), ("cache", "info", "."), ("cache", "info", "..")])
def test_where_one_stands_is_a_name_too(words, folder, monkeypatch, capsys):
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    assert run(*words) == 2
    assert "no cache of comparisons there" in capsys.readouterr().err


@pytest.mark.parametrize("prompt", ["prompts.txt", "images/a.png"])
def test_the_name_of_a_file_is_no_prompt_to_compare_by(prompt, folder, capsys):
    images = folder / "images" / "a.png", folder / "images" / "b.png"
    assert run("compare", *images, "--prompt", prompt) == 2
    assert f"--prompt {prompt}: is called like a file" in capsys.readouterr().err


def test_a_long_prompt_is_not_told_whole(folder, model_folder, capsys):
    words = ("score", "--images", folder / "images", "--model", model_folder, "--out", folder / "s.csv")
    assert run(*words, "--prompts", "cube " * 400) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "longer than the model reads" in line]
    assert told and len(told[0]) < 400


def test_compare_shows_scores_and_a_probability(folder, model_folder, capsys):
    a, b = folder / "images" / "a.png", folder / "images" / "wide.png"
    words = ("--prompt", "a red cube", "--model", model_folder)
    assert run("compare", a, b, *words, json_file=folder / "r.json") == 0
    result = json.loads((folder / "r.json").read_text())
    model = LatentRewardModel.from_pretrained(model_folder)
    with pytest.warns(UserWarning, match="resized"):
        expected = float(model.win_probability(a, b, "a red cube"))
    assert result["probability_a"] == pytest.approx(expected, abs=1e-5)
    assert result["images"][0]["z"] == pytest.approx((result["images"][0]["score"] - 0.5) / 2, abs=1e-5)
    assert "were resized or cropped" in result["notes"][0]
    assert f"preferred) = {expected:.4f}" in capsys.readouterr().out
    assert run("compare", b, a, *words, "--ensemble", "0.2,0.5", json_file=folder / "s.json") == 0
    assert run("compare", a, b, *words, "--ensemble", "0.2,0.5", json_file=folder / "r.json") == 0
    both = [json.loads((folder / name).read_text())["probability_a"] for name in ("r.json", "s.json")]
    assert sum(both) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--noise-level", "0.1", "--ensemble", "0.2"), "--noise-level and --ensemble were both given"),
        (("--noise-level", "1.5"), "--noise-level 1.5; accepted: numbers in [0, 1]"),
        (("--ensemble", "0.2;0.5"), "accepted: numbers with commas"),
        (("--ensemble", "0.2,2"), "accepted: numbers in [0, 1]"),
        (("--device", "abacus"), "--device abacus: "),
        (("--prompts", "captoin"), "no column 'captoin'"),
        (("--out", "scores.xls"), "unknown format '.xls'"),
    ],
)
def test_faults_exit_with_2_and_are_named(folder, model_folder, words, message, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "table.csv").write_text("image,prompt\nimages/a.png,p\n")
    given = ("score", "--images", "table.csv", "--model", model_folder, "--out", "s.csv")
    assert run(*given, *words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_commands_work_as_a_program(folder, tiny_folder, model_folder, warm_programs):
    environment = {"PATH": "", "HOME": str(folder), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def program(*words):
        done = subprocess.run(
            [warm_programs / "dina-lrm", *map(str, words)],
            cwd=folder, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done

    assert program("data", "check", "pairs.jsonl", "--strict").returncode == 0
    assert program("prepare", "pairs.jsonl", "--backbone", tiny_folder, "--out", "cache").returncode == 0
    words = ("score", "--images", "images", "--prompts", "a red cube", "--model", model_folder, "--out", "s.csv")
    (folder / "images" / "broken.png").write_bytes(b"no image")
    done = program(*words)
    assert (done.returncode, "1 of 5 images have no score" in done.stderr) == (1, True)
    assert (
        program("compare", "images/a.png", "images/b.png", "--prompt", "a cube", "--model", model_folder).returncode
        == 0
    )


def test_check_says_why_not_one_row_is_accepted(folder, capsys):
    (folder / "bad.jsonl").write_text('{"prompt": "p"}\n' * 3 + "not json\n")
    assert run("data", "check", folder / "bad.jsonl", json_file=folder / "r.json") == 1
    told = capsys.readouterr().err
    assert "not one of 4 rows is accepted: 3 x no column image_a, image_b, preference" in told
    assert json.loads((folder / "r.json").read_text())["problems"] == {"row": 4}


def test_check_reads_what_it_wrote_and_leaves_no_old_list(folder):
    name = folder / "p.jsonl"
    name.write_text('{"prompt": "p", "image_a": "b\\ud83d", "image_b": "", "preference": 1}\n{"prompt": 1}\n')
    run("data", "check", name)
    listed = read_json_lines(folder / "p.jsonl.problems.jsonl")
    assert [problem["fault"] for problem in listed] == ["row", "row"]
    name.write_text((folder / "pairs.jsonl").read_text())
    assert run("data", "check", name, "--strict") == 0
    assert (folder / "p.jsonl.problems.jsonl").read_text() == ""


def test_half_an_emoji_is_named_by_its_line_by_every_command(folder, tiny_folder, capsys):
    with (folder / "pairs.jsonl").open("a") as file:
        file.write('{"prompt": "a \\ud83d", "image_a": "images/a.png", "image_b": "images/b.png", "preference": 1}\n')
    for words in (
        ("data", "filter", folder / "pairs.jsonl", "--drop-ties", "--out", folder / "kept.jsonl"),
        ("prepare", folder / "pairs.jsonl", "--backbone", tiny_folder, "--out", folder / "cache"),
    ):
        assert run(*words) == 2
        assert "line 4: not a JSON value" in capsys.readouterr().err
    assert run("data", "check", folder / "pairs.jsonl", json_file=folder / "r.json") == 0
    assert json.loads((folder / "r.json").read_text())["problems"] == {"row": 1}
    assert not (folder / "kept.jsonl").exists()
    assert not (folder / "cache.partial").exists()


def test_columns_of_another_layout_are_mapped_by_check_filter_and_prepare(folder, tiny_folder, capsys):
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    foreign = [{"caption": row["prompt"], "win": row["image_a"], "lose": row["image_b"], "x": 1} for row in rows]
    (folder / "dpo.jsonl").write_text("".join(json.dumps(row) + "\n" for row in foreign))
    mapping = ("--columns", "prompt=caption,image_a=win,image_b=lose,preference=1")
    assert run("data", "check", folder / "dpo.jsonl", *mapping, json_file=folder / "r.json") == 0
    assert json.loads((folder / "r.json").read_text())["first_preferred"] == 1.0
    assert run("data", "filter", folder / "dpo.jsonl", *mapping, "--deduplicate", "--out", folder / "kept.jsonl") == 0
    assert json.loads((folder / "kept.jsonl").read_text().splitlines()[0])["preference"] == 1.0
    words = ("prepare", folder / "dpo.jsonl", *mapping, "--backbone", tiny_folder, "--out", folder / "cache")
    assert run(*words, json_file=folder / "r.json") == 0
    assert json.loads((folder / "r.json").read_text())["pairs"] == len(rows)
    assert run("data", "check", "hpdv3", "--path", folder, *mapping) == 2
    assert "hpdv3 knows its own columns" in capsys.readouterr().err


def test_tables_of_a_folder_that_are_not_read_are_said(folder, capsys):
    (folder / "pairs.jsonl").rename(folder / "comparisons.jsonl")
    (folder / "more.csv").write_text("prompt\n")
    assert run("data", "check", folder, json_file=folder / "r.json") == 0
    assert "left out: 1 tables that lie there too: more.csv" in capsys.readouterr().out
    assert json.loads((folder / "r.json").read_text())["tables_left_out"] == [str(folder / "more.csv")]
