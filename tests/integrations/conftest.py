"""Samples that trainers would hand over, what the model itself says of them, and stand-ins for trainers' packages."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from dina_lrm import LatentRewardModel
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.integrations import flow_factory, unirl
from dina_lrm.locate import BUNDLED

TRAINERS = Path(__file__).parent / "trainers"
COLOURS = ("red", "blue", "green", "black", "white", "grey")
PROMPTS = [f"a {size} {colour} ring" for size in ("large", "small") for colour in COLOURS]


@dataclass
class Rollout:
    """Twelve clean latents of the bundled generator's space with their prompts."""

    prompts: list[str]
    latents: torch.Tensor
    told: Conditioning
    scores: torch.Tensor

    def extra(self, row, **more):
        """What verl-omni has beside a sample."""
        told = self.told
        return {
            "prompt_embeds": told.prompt_embeds[row],
            "pooled_prompt_embeds": told.pooled_prompt_embeds[row],
            **more,
        }


@pytest.fixture(scope="session")
def model():
    return LatentRewardModel.from_pretrained("synthetic")


@pytest.fixture(scope="session")
def rollout(model):
    told = model.encode_prompts(PROMPTS)
    drawn = model.encode_images(sorted((BUNDLED["synthetic"]["reward_model"].parent / "golden").iterdir()))
    latents = torch.cat([drawn, 0.95 * drawn, 0.9 * drawn])
    return Rollout(PROMPTS, latents, told, model.score_latents(latents, told, 0.4))


@pytest.fixture
def trainers(monkeypatch):
    """The stand-ins can be imported, and are gone afterwards."""
    monkeypatch.syspath_prepend(TRAINERS)
    made = (flow_factory._dina, unirl._service, unirl._backend)
    for each in made:
        each.cache_clear()
    yield TRAINERS
    for each in made:
        each.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] in ("flow_factory", "unirl")]:
        del sys.modules[name]
