"""A temperature is fitted on pairs, stored with a copy, and changes probabilities only."""

import json
from pathlib import Path

import pytest
import torch

from dina_lrm.cli.main import main
from dina_lrm.reward_model.model import LatentRewardModel

pytestmark = pytest.mark.slow


def test_the_copy_scores_alike_and_is_less_certain(tmp_path: Path) -> None:
    out, target = tmp_path / "calibrated", tmp_path / "result.json"
    words = ["calibrate", "synthetic", "--pairs", "240", "--out", str(out), "--json", str(target), "--quiet"]
    assert main(words) == 0
    found = json.loads(target.read_text())
    before, after = LatentRewardModel.from_pretrained("synthetic"), LatentRewardModel.from_pretrained(out)
    assert after.config.temperature == pytest.approx(found["temperature"])
    images, prompts = torch.rand(2, 3, 32, 32), ["a large red bar on white"] * 2
    assert torch.equal(before.score(images, prompts), after.score(images, prompts))
    margin = torch.tensor([1.0])
    ratio = after.config.temperature / before.config.temperature
    torch.testing.assert_close(after.margin_probability(margin * ratio), before.margin_probability(margin))
    assert found["pairs"] == 240 and 0 <= found["ece"]["low"] <= found["ece"]["after"] <= found["ece"]["high"]
    assert main(words) == 2, "an existing folder is not written over"


def test_the_bundled_model_is_calibrated_already(tmp_path: Path) -> None:
    words = ["calibrate", "synthetic", "--pairs", "600", "--seed", "5", "--out", str(tmp_path / "again"), "--quiet"]
    assert main([*words, "--json", str(tmp_path / "r.json")]) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    bundled = LatentRewardModel.from_pretrained("synthetic").config.temperature
    assert found["temperature"] == pytest.approx(bundled, rel=0.15)


def test_one_set_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "synthetic", "--on", "synthetic", "--out", str(tmp_path / "c"), "--quiet"]) == 2
    assert "accepted: one" in capsys.readouterr().err
