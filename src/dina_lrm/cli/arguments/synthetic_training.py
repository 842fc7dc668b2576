"""The options of `dina-lrm synthetic pretrain`, `uncurate` and `judge`: the bundled networks from nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dina_lrm.console.common import CommonArguments
from dina_lrm.runs.places import check_folder
from dina_lrm.runs.ranges import SEED, Range, check_ranges, ranged
from dina_lrm.runs.settings import Applies, changed_settings, check_applies
from dina_lrm.synthetic.pretraining.config import PretrainConfig, UncuratedConfig
from dina_lrm.typed import to_plain

_THREE = Range("an integer of at least 3", 3)
_RULES = (
    Applies[PretrainConfig](
        ("config.vae.", "config.generator."), lambda c: c.architecture == "sd3", "--config.architecture sd3"
    ),
    Applies[PretrainConfig](("config.unet.",), lambda c: c.architecture == "unet", "--config.architecture unet"),
)


@dataclass
class _Trains(CommonArguments):
    """What all three have."""

    out: Path
    """Folder for what is trained, its checkpoints, facts.json and the card."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def check(self) -> None:
        """Refuse a folder that cannot be written."""
        check_folder("--out", self.out)


@dataclass
class Pretrain(_Trains):
    """Train a generator of the synthetic world: autoencoder, then transformer and text encoders; or the U-Net.

    The U-Net (`--config.architecture unet`) takes the bundled autoencoder. Goes on from what `--out` holds. About an
    hour on two cores with bfloat16 instructions; the result is `OUT/generator`, which every command accepts as
    `--backbone`.

    Example:
        dina-lrm synthetic pretrain --out pretraining
    """

    config: PretrainConfig = field(default_factory=PretrainConfig)
    """The recipe."""

    def check(self) -> None:
        """Refuse settings of the other architecture, and a folder that cannot be written."""
        changed = changed_settings(to_plain(PretrainConfig()), to_plain(self.config), "config.")
        check_applies(self.config, changed, _RULES)
        super().check()


@dataclass
class Uncurate(_Trains):
    """Train a LoRA that makes the bundled generator draw as one that learned from uncurated pictures.

    Goes on from what `--out` holds. Eight minutes on two cores; the result is `OUT/lora`, for `--generator.lora`.

    Example:
        dina-lrm synthetic uncurate --out uncurated
    """

    config: UncuratedConfig = field(default_factory=UncuratedConfig)
    """The recipe."""
    seed: int = ranged(0, SEED)
    """Seed of the pictures, the LoRA's start and the noise."""


@dataclass
class Judge(_Trains):
    """Train a convolutional judge of the synthetic world's pictures on pairs that the bundled reward model never saw.

    Seven minutes of one core; the result is OUT, for the reward `cnn:OUT`.

    Example:
        dina-lrm synthetic judge --prompts 200 --steps 30 --pairs 300 --out judge
    """

    prompts: int = ranged(6_000, _THREE)
    """Training prompts, eight pictures each."""
    steps: int = ranged(2_000, _THREE)
    """Each on all pairs of three prompts."""
    seed: int = ranged(77, SEED)
    """Seed of the training pairs; the bundled reward model has those of seed 0."""
    pairs: int = ranged(2_000, _THREE)
    """Pairs of each test set."""
