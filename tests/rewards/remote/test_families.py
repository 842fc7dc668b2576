"""Every family over the wire: with and without pooled vectors, with masks, at one level, several, and as states."""

import pytest
import torch

from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.names import load_reward
from tests.backbones.families import ONE_OF_EACH, SETTINGS
from tests.models import randomised
from tests.serving.servers import running

pytestmark = pytest.mark.slow
PROMPTS = ["a red cube", "the ball", "green"]
OF_ITEM = [0, 1, 1, 2]


def test_each_family_scores_on_a_server_as_here(tmp_path, warm_programs):
    models = {}
    for case in ONE_OF_EACH:
        head = QFormerConfig(width=16, attention_heads=4, mask_text_padding=case.masked)
        backbone = case.standalone(case.save(tmp_path / f"{case.name} generator")).config
        model = randomised(LatentRewardModel.build(RewardModelConfig(backbone, head, SETTINGS, resolution=32))).eval()
        model.save_pretrained(tmp_path / case.config.family)
        models[case.config.family] = (model, case.latents()[[0, 1, 2, 0]])
    words = ("--model", *[f"{name}={tmp_path / name}" for name in models])
    with running(warm_programs / "dina-lrm", *words) as (address, _):
        for name, (model, latents) in models.items():
            told, reward = model.encode_prompts(PROMPTS)[OF_ITEM], load_reward(f"remote:{address}/{name}")
            own = model.score_latents(latents, told, seed=3)
            assert own.std() > 0
            for found, wanted in (
                (reward.score(latents, told, seed=3), own),
                (reward.score_texts(latents, [PROMPTS[row] for row in OF_ITEM], seed=3), own),
                (reward.read_at((0.2, 0.7)).score(latents, told), model.score_latents(latents, told, (0.2, 0.7))),
                (reward.score_noisy(latents, 0.4, told), model.score_noisy(latents, 0.4, told)),
            ):
                torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6, msg=name)
            assert reward.traffic.prompts_sent == len(PROMPTS)
