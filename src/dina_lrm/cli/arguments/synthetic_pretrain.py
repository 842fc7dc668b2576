"""The options of `dina-lrm synthetic pretrain`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dina_lrm.console.common import CommonArguments
from dina_lrm.runs.places import check_folder
from dina_lrm.runs.settings import Applies, changed_settings, check_applies
from dina_lrm.synthetic.pretraining.config import PretrainConfig
from dina_lrm.typed import to_plain

_RULES = (
    Applies[PretrainConfig](
        ("config.vae.", "config.generator."), lambda c: c.architecture == "sd3", "--config.architecture sd3"
    ),
    Applies[PretrainConfig](("config.unet.",), lambda c: c.architecture == "unet", "--config.architecture unet"),
)


@dataclass
class Arguments(CommonArguments):
    """Train a generator of the synthetic world: autoencoder, then transformer and text encoders; or the U-Net.

    The U-Net (`--config.architecture unet`) takes the bundled autoencoder. Goes on from what `--out` holds. About an
    hour on two cores with bfloat16 instructions; the result is `OUT/generator`, which every command accepts as
    `--backbone`.

    Example:
        dina-lrm synthetic pretrain --out pretraining
    """

    out: Path
    """Folder for checkpoints and the finished pipeline."""
    config: PretrainConfig = field(default_factory=PretrainConfig)
    """The recipe."""

    def check(self) -> None:
        """Refuse settings of the other architecture, and a folder that cannot be written."""
        changed = changed_settings(to_plain(PretrainConfig()), to_plain(self.config), "config.")
        check_applies(self.config, changed, _RULES)
        check_folder("--out", self.out)
