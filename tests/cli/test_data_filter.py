"""`data filter`: every filter by its option, what it removed and why, and MPCF with scores computed on the way."""

import json

import pytest
from PIL import Image

from dina_lrm.cli.main import main
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import read_comparisons, write_comparisons
from tests.data.published import LAYOUTS


def run(*words):
    return main(["data", "filter", *map(str, words)])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    images = {name: tmp_path / "images" / f"{name}.png" for name in ("flat", "half", "noise")}
    Image.new("RGB", (8, 8), "grey").save(images["flat"])
    Image.effect_noise((8, 8), 20).convert("RGB").save(images["half"])
    Image.effect_noise((8, 8), 90).convert("RGB").save(images["noise"])
    made = [
        ("p", "noise", "flat", 1.0, {"confidence": 0.9, "votes": 5}),
        ("p", "flat", "noise", 0.0, {"confidence": 0.9, "votes": 5}),
        ("p", "flat", "half", 1.0, {"confidence": 0.4, "votes": 5}),
        ("p", "half", "noise", 0.5, {"votes": 1}),
        ("q", "noise", "half", 0.8, {"votes": 10}),
    ]
    pairs = [
        Comparison(prompt, images[a], images[b], label, pair_id=f"{n}", **more)
        for n, (prompt, a, b, label, more) in enumerate(made)
    ]
    write_comparisons(tmp_path / "pairs.jsonl", pairs)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--drop-ties",), "0124"),
        (("--min-confidence", "0.5"), "0134"),
        (("--min-confidence", "0.5", "--require-confidence"), "01"),
        (("--min-votes", "5"), "0124"),
        (("--min-agreement", "0.9"), "012"),
        (("--deduplicate",), "0234"),
        (("--pairs-per-prompt", "2"), "014"),
        (("--drop-ties", "--deduplicate", "--pairs-per-prompt", "1"), "04"),
        (("--mpcf", "strict", "--aesthetic", "sharpness", "--drop-ties"), "014"),
        (("--mpcf", "default", "--clip", "sharpness", "--drop-ties", "--pairs-per-prompt", "1"), "04"),
    ],
)
def test_each_filter_keeps_what_it_should_and_counts_the_rest(folder, options, left):
    out, found = folder / "kept.jsonl", folder / "found.json"
    assert run(folder / "pairs.jsonl", "--out", out, *options, "--json", found, "--quiet") == 0
    assert "".join(pair.pair_id for pair in read_comparisons(out)) == left
    result = json.loads(found.read_text())
    assert (result["seen"], result["kept"]) == (5, len(left))
    assert sum(row["removed"] for row in result["filters"]) == 5 - len(left)
    assert all(sum(row["reasons"].values()) == row["removed"] for row in result["filters"])


@pytest.mark.parametrize(("strength", "kept"), [("strict", "014"), ("default", "014"), ("loose", "0124")])
def test_the_strength_says_how_far_behind_a_winner_may_be(folder, strength, kept):
    """By the function below the winner of pair 2 is 0.75 behind."""
    out = folder / "kept.jsonl"
    words = ("--mpcf", strength, "--aesthetic", "python:tests.cli.test_data_filter.aesthetic", "--drop-ties", "--quiet")
    assert run(folder / "pairs.jsonl", "--out", out, *words) == 0
    assert "".join(pair.pair_id for pair in read_comparisons(out)) == kept


def aesthetic(images, prompts):
    """0, 0.75 and 1.5 for the flat picture, the one with some noise, and the one with much."""
    spread = images.std(dim=(1, 2, 3))
    return (0.75 * (spread > 0.01).float() + 0.75 * (spread > 0.2).float()).tolist()


def test_leakage_from_a_published_test_split_is_removed(tmp_path, capsys):
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        LAYOUTS["hpdv3"](tmp_path / name)
    rows = json.loads((tmp_path / "test" / "test.json").read_text())
    (tmp_path / "test" / "test.json").write_text(json.dumps([rows[0] | {"prompt": "another prompt"}]))
    out = tmp_path / "kept.jsonl"
    words = ("hpdv3", "--path", tmp_path / "train", "--split", "test", "--out", out)
    assert run(*words, "--not-in", f"hpdv3:test={tmp_path / 'test'}") == 0
    (left,) = read_comparisons(out)
    assert left.source == "hpdv3" and left.pair_id == "hpdv3-test-3"
    told = capsys.readouterr().out
    assert "leakage, hpdv3-test" in told and "image of the test set (2)" in told
    assert run(*words) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "no filter was asked for"),
        (("--mpcf", "strict"), "by which rewards? Give one or more of --aesthetic, --clip, --vqa"),
        (("--clip", "sharpness"), "--clip: is a reward of MPCF"),
        (("--mpcf", "strict", "--clip", "sharpnes"), "reward 'sharpnes'; accepted: "),
        (("--min-votes", "0"), "least votes 0"),
        (("--pairs-per-prompt", "0"), "accepted: at least 1"),
        (("--require-confidence",), "give --min-confidence too"),
        (("--not-in", "nowhere.jsonl"), "no such file"),
        (("--not-in", "synthetic:in_domain"), "--not-in synthetic:in_domain; accepted: files of comparisons"),
    ],
)
def test_bad_options_are_refused(folder, options, message, capsys):
    assert run(folder / "pairs.jsonl", "--out", folder / "kept.jsonl", *options) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "kept.jsonl").exists()


def test_nothing_left_is_a_failure_that_says_so(folder, capsys):
    out = folder / "kept.jsonl"
    assert run(folder / "pairs.jsonl", "--out", out, "--min-votes", "99", "--quiet") == 1
    assert "no comparison is left of 5" in capsys.readouterr().err
    assert run(folder / "pairs.jsonl", "--out", folder / "kept.xlsx", "--drop-ties") == 2
    assert "unknown format '.xlsx'" in capsys.readouterr().err
