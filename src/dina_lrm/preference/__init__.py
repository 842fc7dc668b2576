"""Preference learning on noisy states: P(a preferred), its loss, and the noise levels that are trained on.

| noun | place |
|---|---|
| `PreferenceModel`: P from a score margin and a noise scale | `likelihood.py`, table `PREFERENCE_MODELS` |
| fidelity loss and NLL | `loss.py`, table `LOSSES` |
| `NoiseLevelSampler`: the distribution q(t) | `noise_levels.py`, table `NOISE_LEVEL_SAMPLERS` |
| named combinations: the paper's, the released code's, ablations | `presets.py`, table `PRESETS` |
"""

from dina_lrm.preference.likelihood import (
    PREFERENCE_MODELS,
    BradleyTerry,
    LogProbabilities,
    PreferenceModel,
    Thurstone,
)
from dina_lrm.preference.loss import LOSSES, fidelity_loss, nll_loss
from dina_lrm.preference.noise_levels import (
    NOISE_LEVEL_SAMPLERS,
    Beta,
    Constant,
    LogitNormal,
    Mode,
    NoiseLevelSampler,
    Power,
    Timesteps,
    Uniform,
)
from dina_lrm.preference.presets import PRESETS, PreferenceObjective, preference_preset

__all__ = [
    "LOSSES",
    "NOISE_LEVEL_SAMPLERS",
    "PREFERENCE_MODELS",
    "PRESETS",
    "Beta",
    "BradleyTerry",
    "Constant",
    "LogProbabilities",
    "LogitNormal",
    "Mode",
    "NoiseLevelSampler",
    "Power",
    "PreferenceModel",
    "PreferenceObjective",
    "Thurstone",
    "Timesteps",
    "Uniform",
    "fidelity_loss",
    "nll_loss",
    "preference_preset",
]
