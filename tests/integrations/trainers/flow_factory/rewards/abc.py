"""The base class of pointwise rewards, and what one returns."""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class RewardModelOutput:
    rewards: Any
    extra_info: Any = None


class PointwiseRewardModel:
    required_fields = ("image", "prompt")
    use_tensor_inputs = False

    def __init__(self, config, accelerator):
        self.accelerator, self.config = accelerator, config
        self.device = accelerator.device if config.device == torch.device("cuda") else config.device
        self.dtype = config.dtype
        self.model = None
