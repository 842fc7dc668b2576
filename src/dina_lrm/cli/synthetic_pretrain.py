"""`dina-lrm synthetic pretrain`: the bundled generators from nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dina_lrm.cli.common import CommonArguments, console, progress
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.lock import held_folder
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


def run(arguments: Arguments) -> dict[str, object]:
    """Train, save, and say what was measured."""
    changed = changed_settings(to_plain(PretrainConfig()), to_plain(arguments.config), "config.")
    check_applies(arguments.config, changed, _RULES)
    check_folder("--out", arguments.out)
    from dina_lrm.synthetic.pretraining.loop import Interrupted

    with held_folder(arguments.out):
        try:
            return _run(arguments)
        except Interrupted as stopped:
            console(arguments.quiet).print(str(stopped))
            return {"folder": str(arguments.out), "stopped": str(stopped)}


def _run(arguments: Arguments) -> dict[str, object]:
    from dina_lrm.synthetic.pretraining.run import pretrain

    with progress("Autoencoder", arguments.quiet) as first, progress("Generator", arguments.quiet) as second:

        def report(stage: str, step: int, steps: int, loss: float) -> None:
            (first if stage == "autoencoder" else second)(step, steps)

        folder = pretrain(arguments.config, arguments.out, report)
    facts = read_json_object(folder / "facts.json")
    measures = {
        "vae_psnr_db": "autoencoder {:.1f} dB",
        "flow_loss": "flow loss {:.3f}",
        "noise_loss": "noise loss {:.3f}",
        "samples_right": "{:.0%} of samples exactly right",
    }
    said = ", ".join(text.format(facts[name]) for name, text in measures.items() if name in facts)
    console(arguments.quiet).print(f"{folder}: {said}")
    return {"folder": str(folder), **facts}
