"""`evaluate` on a tiny reward model: a comparison file, a cache, two models, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from dina_lrm.cli.main import main
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import write_comparisons
from dina_lrm.evaluation.results import EvaluationResult
from dina_lrm.reward_model.model import LatentRewardModel
from tests.models import tiny_reward_model
from tests.reports.page import Page


@pytest.fixture(scope="module")
def folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a second one, and comparisons of five pictures, one tie, one picture that is gone."""
    place = tmp_path_factory.mktemp("evaluate")
    tiny_reward_model(tiny_folder).save_pretrained(place / "model")
    tiny_reward_model(tiny_folder, noise_level=0.2).save_pretrained(place / "second")
    generator = torch.Generator().manual_seed(0)
    (place / "images").mkdir()
    names = [place / "images" / f"{number}.png" for number in range(5)]
    for name in names:
        Image.fromarray(torch.randint(0, 256, (32, 32, 3), generator=generator).to(torch.uint8).numpy()).save(name)
    pairs = [("a red cube", 0, 1, 1.0), ("a red cube", 1, 2, 0.0), ("the blue ball", 3, 4, 0.5), ("a table", 0, 4, 0.8)]
    comparisons = [Comparison(text, names[a], names[b], preference) for text, a, b, preference in pairs]
    gone = Comparison("a table", names[0], place / "images" / "gone.png", 1.0)
    write_comparisons(place / "pairs.jsonl", [*comparisons, gone])
    return place


def run(*words: object) -> int:
    return main(["evaluate", *map(str, words)])


@pytest.fixture(scope="module")
def written(folder: Path) -> Path:
    out = folder / "out"
    options = ("--levels", "0.4,0.1", "--ensemble", "0.2,0.5,0.7", "--out", out, "--json", out / "result.json")
    assert run(folder / "model", folder / "second", "--on", folder / "pairs.jsonl", *options) == 0
    return out


def test_the_json_is_the_result(written: Path, folder: Path) -> None:
    found = json.loads((written / "result.json").read_text())
    results = [EvaluationResult.from_dict(values) for values in found["results"]]
    assert [result.model for result in results] == [str(folder / "model"), str(folder / "second")]
    assert [reading.name for reading in results[0].readings] == ["t = 0.4", "t = 0.1", "0.2 + 0.5 + 0.7"]
    measured = results[0].of("pairs")
    counted = measured.at(results[0].reference).accuracy
    assert (measured.pairs, counted.missing, counted.label_ties) == (5, 1, 1)
    summary = found["summary"][str(folder / "model")]["t = 0.4"]["pairs"]
    assert summary["accuracy"] == measured.at(results[0].reference).accuracy.accuracy
    assert summary.keys() == {"accuracy", "low", "high", "ceiling", "pairs"}
    assert json.loads((written / "evaluation.json").read_text())["results"] == found["results"]


def test_scores_are_those_of_the_model(written: Path, folder: Path) -> None:
    model = LatentRewardModel.from_pretrained(folder / "model")
    found = json.loads((written / "result.json").read_text())["results"][0]["sets"][0]
    for pair in found["disagreements"]:
        left = {"a red cube": (0, 1), "the blue ball": (3,), "a table": (0,)}[pair["prompt"]]
        scores = model.score([folder / "images" / f"{number}.png" for number in left], pair["prompt"])
        assert min(abs(float(score) - pair["score_a"]) for score in scores) < 1e-4


def test_the_report_and_the_plots_are_there(written: Path) -> None:
    page = Page((written / "report.html").read_text())
    assert page.unclosed == []
    assert "Pairwise accuracy" in page.text
    assert {path.name for path in (written / "plots").iterdir()} >= {"accuracy_over_noise.png", "reliability.png"}


def test_a_table_is_printed_and_a_cache_gives_the_same(
    written: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dina_lrm.data.encoding.comparisons import encode_comparisons
    from dina_lrm.data.sources import read_comparisons

    model = LatentRewardModel.from_pretrained(folder / "model")
    encode_comparisons(read_comparisons(folder / "pairs.jsonl"), model.backbone, folder / "cache", resolution=32)
    target = folder / "cached.json"
    assert (
        run(folder / "model", "--on", folder / "cache", "--levels", "0.4", "--ensemble", "none", "--json", target) == 0
    )
    shown = capsys.readouterr().out
    assert "t = 0.4" in shown and "Label ties" in shown
    there = json.loads((written / "result.json").read_text())["results"][0]["sets"][0]["readings"][0]
    (reading,) = json.loads(target.read_text())["results"][0]["sets"][0]["readings"]
    # The cache does not hold the pair whose picture is gone
    without = {"pairs": 4, "missing": 0}
    assert reading["accuracy"] | without == there["accuracy"] | without
    assert (there["accuracy"]["pairs"], there["accuracy"]["missing"]) == (5, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("synthetic", "--on", "nowhere.jsonl"), "--on nowhere.jsonl: no such file or folder; accepted: "),
        (("synthetic", "--on", ","), "--on names no set"),
        (("synthetic", "--levels", "0.2,x"), "--levels '0.2,x'; accepted: numbers with commas"),
        (("synthetic", "--levels", "1.2"), "accepted: numbers in [0, 1]"),
        (("synthetic", "--ensemble", "0.2"), "accepted: two or more noise levels"),
        (("synthetic", "--convention", "strict"), "convention is 'strict'; accepted: micro_strict"),
        (("synthetic", "--draws", "3", "--antithetic"), "--antithetic --draws 3; accepted: an even number"),
        (("synthetic", "synthetic"), "a model was given twice"),
    ],
)
def test_bad_input_is_refused_before_a_model_is_loaded(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert message in capsys.readouterr().err


def test_all_subsets_of_the_levels_are_ensembles_of_one_pass(folder: Path) -> None:
    target = folder / "subsets.json"
    words = (folder / "model", "--on", folder / "pairs.jsonl", "--levels", "0.1,0.4,0.7", "--ensemble", "all")
    assert run(*words, "--json", target, "--quiet") == 0
    (summary,) = json.loads(target.read_text())["summary"].values()
    assert list(summary)[3:] == ["0.1 + 0.4", "0.1 + 0.7", "0.4 + 0.7", "0.1 + 0.4 + 0.7"]


def test_rewards_stand_beside_latent_models_and_are_compared_with_the_first(folder: Path) -> None:
    target, out = folder / "rewards.json", folder / "rewards"
    words = (folder / "model", "sharpness", "jpeg-size", "--on", folder / "pairs.jsonl", "--draws", "2", "--out", out)
    assert run(*words, "--json", target, "--quiet") == 0
    found = json.loads(target.read_text())
    assert [row["model"] for row in found["differences"]] == ["sharpness", "jpeg-size"]
    latent, sharpness, _ = (EvaluationResult.from_dict(values) for values in found["results"])
    # The latent model misses the pair whose picture is gone when it encodes, the other when it reads
    assert [r.of("pairs").at(r.reference).accuracy.missing for r in (latent, sharpness)] == [1, 1]
    assert latent.of("pairs").uncertainty[0].draws == 2 and sharpness.of("pairs").uncertainty == ()
    page = (out / "leaderboard.html").read_text()
    assert page.count("<tr>") == 1 + 4 + 1 - 1 and "jpeg-size" in page
    before = {path.name: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}
    assert len(before) == 6
    assert run(*words, "--json", target, "--quiet") == 0
    assert {path.name: path.stat().st_mtime_ns for path in (out / "parts").iterdir()} == before
    again = json.loads(target.read_text())
    assert (again["summary"], again["differences"]) == (found["summary"], found["differences"])


def test_a_second_run_encodes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, out = folder / "rendered.json", folder / "rendered"
    on = ("--on", "synthetic:in_domain", "--pairs", "6", "--out", out)
    words = (folder / "model", "sharpness", *on, "--quiet", "--json", target)
    calls = count_encodings(monkeypatch)
    assert run(*words) == 0
    found, first = json.loads(target.read_text()), len(calls)
    assert first > 0
    assert run(*words) == 0
    assert len(calls) == first
    again = json.loads(target.read_text())
    assert (again["summary"], again["differences"]) == (found["summary"], found["differences"])
    assert run("sharpness", *on, "--seed", "1", "--quiet") == 0
    assert len(calls) == first, "a judge of pictures needs no latents"


def count_encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every picture that is encoded and every prompt."""
    from dina_lrm.backbones.sd3 import SD3Backbone

    calls: list[int] = []

    def count(name: str) -> None:
        plain = getattr(SD3Backbone, name)

        def counted(self: SD3Backbone, given: object) -> object:
            calls.append(1)
            return plain(self, given)

        monkeypatch.setattr(SD3Backbone, name, counted)

    count("encode_images")
    count("encode_prompts")
    return calls


def test_antithetic_draws_are_another_measurement(folder: Path) -> None:
    target, out = folder / "antithetic.json", folder / "antithetic"
    words = (folder / "model", "--on", folder / "pairs.jsonl", "--draws", "2", "--out", out, "--json", target)
    assert run(*words, "--quiet") == 0
    plain = EvaluationResult.from_dict(json.loads(target.read_text())["results"][0]).of("pairs")
    assert run(*words, "--antithetic", "--quiet") == 0
    mirrored = EvaluationResult.from_dict(json.loads(target.read_text())["results"][0]).of("pairs")
    assert len(list((out / "parts").glob("*.json"))) == 2, "the part of the one is not taken for the other"
    assert plain.readings[0].histogram != mirrored.readings[0].histogram
    assert len(plain.uncertainty) > 0 and mirrored.uncertainty == ()


def test_rewards_alone_are_measured_and_the_scores_are_theirs(folder: Path) -> None:
    from dina_lrm.images import load_pixels
    from dina_lrm.rewards.heuristics import Sharpness

    target = folder / "alone.json"
    assert run("sharpness", "--on", folder / "pairs.jsonl", "--json", target, "--quiet") == 0
    (result,) = json.loads(target.read_text())["results"]
    scores = [Sharpness()(load_pixels(folder / "images" / f"{n}.png")[None], ["p"]).item() for n in (0, 1, 2, 3, 4)]
    right = [scores[0] > scores[1], scores[1] < scores[2], scores[0] > scores[4]]
    assert result["sets"][0]["readings"][0]["accuracy"]["accuracy"] == pytest.approx(sum(right) / 3)


def test_a_failing_set_or_judge_does_not_lose_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.jsonl").write_text('{"prompt": "p"}\n')
    target = folder / "partial.json"
    words = (
        "sharpness",
        "python:tests.rewards.functions.too_few",
        "--on",
        f"{folder / 'pairs.jsonl'},{folder / 'bad.jsonl'}",
    )
    assert run(*words, "--json", target, "--quiet") == 1
    found = json.loads(target.read_text())
    assert "3 of the measurements failed" in capsys.readouterr().err
    assert {(row["model"], row["set"]) for row in found["failures"]} == {
        ("sharpness", "bad"),
        ("python:tests.rewards.functions.too_few", "pairs"),
        ("python:tests.rewards.functions.too_few", "bad"),
    }
    assert list(found["summary"]["sharpness"]["no noise"]) == ["pairs"]


def test_published_sets_are_found_by_name_or_path(tmp_path: Path, folder: Path) -> None:
    from tests.data.published import LAYOUTS

    for name in ("imagereward", "hpdv3"):
        (tmp_path / name).mkdir()
        LAYOUTS[name](tmp_path / name)
    target = tmp_path / "found.json"
    on = f"imagereward,hpdv3={tmp_path / 'hpdv3'}"
    assert run(folder / "model", "sharpness", "--on", on, "--data", tmp_path, "--json", target, "--quiet") == 0
    result = EvaluationResult.from_dict(json.loads(target.read_text())["results"][1])
    assert [(s.name, s.pairs, s.notes) for s in result.sets] == [
        ("imagereward", 7, ("source imagereward, split test",)),
        ("hpdv3", 3, ("source hpdv3, split test",)),
    ]
    both = [s.at(result.reference).accuracy.accuracy for s in result.sets]
    assert json.loads(target.read_text())["mean"]["sharpness"]["no noise"] == pytest.approx(sum(both) / 2)
    counted = result.sets[0].at(result.reference).accuracy
    assert (counted.label_ties, counted.missing, counted.prompts) == (1, 1, 2)


def test_one_table_over_the_papers_sets_survives_the_failure_of_one(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.data.published import LAYOUTS

    monkeypatch.setenv("COLUMNS", "240")

    names = ("hpdv3", "hpdv2", "imagereward", "genai-bench")
    for name in names:
        (tmp_path / name).mkdir()
        LAYOUTS[name](tmp_path / name)
    target = tmp_path / "found.json"
    on = f"{','.join(names)},synthetic:in_domain"
    convention = "micro_tie_wrong"
    options = ("--on", on, "--data", tmp_path, "--pairs", "6", "--convention", convention, "--seed", "3")
    words = (folder / "model", "sharpness", *options, "--out", tmp_path / "out", "--json", target)
    assert run(*words) == 0
    shown = capsys.readouterr().out
    assert all(title in shown for title in ("Mean", "Bayes ceiling", "sharpness"))
    found = json.loads(target.read_text())
    for result in map(EvaluationResult.from_dict, found["results"]):
        assert [measured.name for measured in result.sets] == [*names, "in_domain"]
        assert (result.convention, result.seed) == (convention, 3)
        assert all(len(measured.data_hash) == 64 for measured in result.sets)
        assert {"torch", "python"} <= result.environment.keys() and result.command
        assert 0 <= found["mean"][result.model][result.reference.name] <= 1
    (tmp_path / "hpdv2" / "test.json").write_text('[{"prompt": "p"}]')
    assert run(*words) == 1
    told = capsys.readouterr().err
    assert "2 of the measurements failed" in told and "sharpness on hpdv2: " in told and "row 1: no field" in told
    found = json.loads(target.read_text())
    assert list(found["summary"]["sharpness"]["no noise"]) == ["hpdv3", "imagereward", "genai-bench", "in_domain"]
