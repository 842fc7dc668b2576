"""The truth as a reward: what the oracle says of pictures, as other rewards say it."""

import numpy as np
import pytest
import torch

from dina_lrm.rewards.names import load_reward
from dina_lrm.synthetic.captions import distinct_captions, true_values


def test_the_truth_as_a_reward_is_the_oracle_s():
    prompts = distinct_captions(np.random.default_rng(0), 3)
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    reward = load_reward("python:dina_lrm.synthetic.truth_reward.true_utility")
    scores = reward(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, prompts)
    assert scores.tolist() == pytest.approx(true_values(images, prompts)["utility"].tolist(), rel=1e-6)
    foreign = reward(torch.zeros(1, 3, 32, 32), ["an oil painting of a tower"])
    assert foreign.isnan().all()
