"""Latent reward models: reward models that live in the latent space of an image generator.

Every public name is re-exported here and loaded on first use, so that `import dina_lrm` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dina_lrm.alignment.algorithms.reward_loss import reward_loss
    from dina_lrm.backbones.base import Backbone
    from dina_lrm.backbones.conditioning import Conditioning, Features
    from dina_lrm.backbones.registry import load_backbone
    from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
    from dina_lrm.data.cache.encoded import EncodedComparisons
    from dina_lrm.data.comparison import Comparison
    from dina_lrm.data.encoding.comparisons import encode_comparisons
    from dina_lrm.data.sources import read_comparisons, write_comparisons
    from dina_lrm.diffusion import (
        ForwardProcess,
        RectifiedFlow,
        VariancePreserving,
        process_from_scheduler,
        seeded_noise,
    )
    from dina_lrm.evaluation.evaluate import evaluate
    from dina_lrm.evaluation.results import EvaluationResult
    from dina_lrm.heads.base import Head
    from dina_lrm.heads.pooled import PooledHead
    from dina_lrm.heads.qformer import QFormerHead
    from dina_lrm.heads.settings import PooledConfig, QFormerConfig
    from dina_lrm.precision import preferred_dtype
    from dina_lrm.preference.likelihood import BradleyTerry, PreferenceModel, Thurstone
    from dina_lrm.preference.loss import fidelity_loss, nll_loss
    from dina_lrm.preference.noise_levels import NoiseLevelSampler
    from dina_lrm.preference.presets import preference_preset
    from dina_lrm.ranking.job import rank
    from dina_lrm.reports.notebook.run import Run
    from dina_lrm.reports.notebook.strip import ScoreStrip
    from dina_lrm.reward_model.config import RewardModelConfig
    from dina_lrm.reward_model.inputs import PromptTruncatedWarning, PromptUnreadWarning, ResizeWarning
    from dina_lrm.reward_model.level_scores import LevelScores
    from dina_lrm.reward_model.model import LatentRewardModel
    from dina_lrm.sampling.diffusers_hooks import RewardTrace
    from dina_lrm.sampling.diffusers_steering import RewardSteering
    from dina_lrm.training.config import TrainConfig
    from dina_lrm.training.plan import TrainingPlan
    from dina_lrm.training.trainer import TrainResult, train
    from dina_lrm.typed import DinaError

_NAMES = {
    "dina_lrm.alignment.algorithms.reward_loss": ("reward_loss",),
    "dina_lrm.backbones.base": ("Backbone",),
    "dina_lrm.backbones.conditioning": ("Conditioning", "Features"),
    "dina_lrm.backbones.registry": ("load_backbone",),
    "dina_lrm.backbones.settings": ("BackboneConfig", "LoraSettings"),
    "dina_lrm.data.cache.encoded": ("EncodedComparisons",),
    "dina_lrm.data.comparison": ("Comparison",),
    "dina_lrm.data.encoding.comparisons": ("encode_comparisons",),
    "dina_lrm.data.sources": ("read_comparisons", "write_comparisons"),
    "dina_lrm.diffusion": (
        "ForwardProcess",
        "RectifiedFlow",
        "VariancePreserving",
        "process_from_scheduler",
        "seeded_noise",
    ),
    "dina_lrm.evaluation.evaluate": ("evaluate",),
    "dina_lrm.evaluation.results": ("EvaluationResult",),
    "dina_lrm.heads.base": ("Head",),
    "dina_lrm.heads.pooled": ("PooledHead",),
    "dina_lrm.heads.qformer": ("QFormerHead",),
    "dina_lrm.heads.settings": ("PooledConfig", "QFormerConfig"),
    "dina_lrm.reward_model.level_scores": ("LevelScores",),
    "dina_lrm.reward_model.model": ("LatentRewardModel",),
    "dina_lrm.precision": ("preferred_dtype",),
    "dina_lrm.preference.likelihood": ("BradleyTerry", "PreferenceModel", "Thurstone"),
    "dina_lrm.preference.loss": ("fidelity_loss", "nll_loss"),
    "dina_lrm.preference.noise_levels": ("NoiseLevelSampler",),
    "dina_lrm.preference.presets": ("preference_preset",),
    "dina_lrm.ranking.job": ("rank",),
    "dina_lrm.reports.notebook.run": ("Run",),
    "dina_lrm.reports.notebook.strip": ("ScoreStrip",),
    "dina_lrm.reward_model.config": ("RewardModelConfig",),
    "dina_lrm.reward_model.inputs": ("PromptTruncatedWarning", "PromptUnreadWarning", "ResizeWarning"),
    "dina_lrm.sampling.diffusers_hooks": ("RewardTrace",),
    "dina_lrm.sampling.diffusers_steering": ("RewardSteering",),
    "dina_lrm.training.config": ("TrainConfig",),
    "dina_lrm.training.plan": ("TrainingPlan",),
    "dina_lrm.training.trainer": ("TrainResult", "train"),
    "dina_lrm.typed": ("DinaError",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Backbone",
    "BackboneConfig",
    "BradleyTerry",
    "Comparison",
    "Conditioning",
    "DinaError",
    "EncodedComparisons",
    "EvaluationResult",
    "Features",
    "ForwardProcess",
    "Head",
    "LatentRewardModel",
    "LevelScores",
    "LoraSettings",
    "NoiseLevelSampler",
    "PooledConfig",
    "PooledHead",
    "PreferenceModel",
    "PromptTruncatedWarning",
    "PromptUnreadWarning",
    "QFormerConfig",
    "QFormerHead",
    "RectifiedFlow",
    "ResizeWarning",
    "RewardModelConfig",
    "RewardSteering",
    "RewardTrace",
    "Run",
    "ScoreStrip",
    "Thurstone",
    "TrainConfig",
    "TrainResult",
    "TrainingPlan",
    "VariancePreserving",
    "__version__",
    "encode_comparisons",
    "evaluate",
    "fidelity_loss",
    "load_backbone",
    "nll_loss",
    "preference_preset",
    "preferred_dtype",
    "process_from_scheduler",
    "rank",
    "read_comparisons",
    "reward_loss",
    "seeded_noise",
    "train",
    "write_comparisons",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'dina_lrm' has no attribute {name!r}; it offers {', '.join(__all__)}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
