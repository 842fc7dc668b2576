"""Scoring where text encoders do not stay in memory: each is loaded once for all prompts, and scores are the same."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from dina_lrm.backbones.settings import EncoderSettings
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.scoring.files import score_files
from dina_lrm.rewards.scoring.rows import read_score_rows
from tests.backbones.alive import AliveModels
from tests.models import some_images, tiny_reward_model

PROMPTS = ["a red cube", "green table", "the ball", "a red cube", "left of the table"]
CLIPS = ["CLIPTextModelWithProjection"] * 2


@pytest.fixture(scope="module")
def stays(tiny_folder: Path) -> LatentRewardModel:
    return tiny_reward_model(tiny_folder)


@pytest.fixture
def goes(tiny_folder: Path) -> LatentRewardModel:
    model = tiny_reward_model(tiny_folder)
    model.backbone.hold_encoders(EncoderSettings(stay=False))
    return model


def test_one_call_loads_each_encoder_once(stays: LatentRewardModel, goes: LatentRewardModel) -> None:
    images = some_images(len(PROMPTS))
    wanted = stays.score(images, PROMPTS, batch_size=2)
    with AliveModels() as alive:
        found = goes.score(images, PROMPTS, batch_size=2)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert [name for name in alive.calls if name.startswith("CLIP")] == CLIPS and alive.together == 1


def test_a_table_of_scores_loads_each_encoder_once(
    stays: LatentRewardModel, goes: LatentRewardModel, tmp_path: Path
) -> None:
    table = tmp_path / "pictures.jsonl"
    lines = []
    for number, (image, prompt) in enumerate(zip(some_images(len(PROMPTS)), PROMPTS, strict=True)):
        file = tmp_path / f"{number}.png"
        Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).save(file)
        lines.append(json.dumps({"image": str(file), "prompt": prompt}))
    table.write_text("\n".join(lines))
    rows = read_score_rows(table)
    score_files(stays, rows, tmp_path / "stays.jsonl", batch_size=2)
    with AliveModels() as alive:
        score_files(goes, rows, tmp_path / "goes.jsonl", batch_size=2)
    assert [name for name in alive.calls if name.startswith("CLIP")] == CLIPS and alive.together == 1
    assert (tmp_path / "goes.jsonl").read_text() == (tmp_path / "stays.jsonl").read_text()
