"""Models that are loaded by several threads at once have weights, and so has what is made afterwards."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from dina_lrm import LatentRewardModel
from dina_lrm.reward_model.assembly import fresh_head


@pytest.fixture
def often_switched():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_what_threads_load_beside_each_other_has_weights(often_switched):
    made = nn.Module.register_parameter
    model = LatentRewardModel.from_pretrained("synthetic")

    def load(number: int) -> nn.Module:
        if number % 2:
            return fresh_head(model.config, model.backbone, number)
        return LatentRewardModel.from_pretrained("synthetic")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(load, range(12)))
    assert nn.Module.register_parameter is made
    for each in found:
        assert not any(tensor.is_meta for tensor in (*each.parameters(), *each.buffers()))
    wanted = model.state_dict()
    for each in found[::2]:
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in each.state_dict().items())
