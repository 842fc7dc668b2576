"""What alignment runs on the bundled world share."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dina_lrm.alignment.monitor.settings import LookSettings
from dina_lrm.generators.settings import BUNDLED_GENERATOR
from dina_lrm.sampling.reward_term import RewardTerm

IN_TEN: Final = replace(BUNDLED_GENERATOR, sampling_steps=10)
UNCURATED: Final = replace(IN_TEN, pretrained="synthetic-uncurated", guidance=1.0)
"""What there is most to mend in: damaged training pictures, and no guidance that hides them."""
REWARDS: Final = (RewardTerm("latent:synthetic", noise_level=0.2),)
LOOKS: Final = LookSettings(every=5, prompts=64, images=1, golden="cnn", window=6)
