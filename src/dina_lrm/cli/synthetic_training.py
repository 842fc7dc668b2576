"""`dina-lrm synthetic pretrain`, `uncurate` and `judge`: the bundled networks from nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dina_lrm.cli.arguments import synthetic_judge, synthetic_pretrain, synthetic_uncurate
from dina_lrm.console.common import console, progress
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.synthetic.pretraining.judge import train_judge
from dina_lrm.synthetic.pretraining.loop import Interrupted
from dina_lrm.synthetic.pretraining.run import pretrain as pretrain_generator
from dina_lrm.synthetic.pretraining.uncurated import uncurate as train_uncurated
from dina_lrm.typed import to_plain

_MEASURES = {
    "vae_psnr_db": "autoencoder {:.1f} dB",
    "flow_loss": "flow loss {:.3f}",
    "noise_loss": "noise loss {:.3f}",
    "samples_right": "{:.0%} of samples exactly right",
}


def pretrain(arguments: synthetic_pretrain.Arguments) -> dict[str, object]:
    """Train a generator, save, and say what was measured."""

    def train() -> Path:
        with progress("Autoencoder", arguments.quiet) as first, progress("Generator", arguments.quiet) as second:

            def report(stage: str, step: int, steps: int, loss: float) -> None:
                (first if stage == "autoencoder" else second)(step, steps)

            return pretrain_generator(arguments.config, arguments.out, report)

    def said(facts: Mapping[str, Any]) -> str:
        return ", ".join(text.format(facts[name]) for name, text in _MEASURES.items() if name in facts)

    return _ended(arguments.out, arguments.quiet, train, said)


def uncurate(arguments: synthetic_uncurate.Arguments) -> dict[str, object]:
    """Train the LoRA, save, and say what was measured."""

    def train() -> Path:
        with progress("updates", arguments.quiet) as report:
            return train_uncurated(
                arguments.config, arguments.seed, arguments.out, lambda _, step, steps, loss: report(step, steps)
            )

    def said(facts: Mapping[str, Any]) -> str:
        return f"alignment {facts['samples_alignment']:.2f}, quality {facts['samples_quality']:.2f} of its samples"

    return _ended(arguments.out, arguments.quiet, train, said)


def judge(arguments: synthetic_judge.Arguments) -> dict[str, object]:
    """Train the judge of pixels, save, and say what was measured."""
    with progress("steps", arguments.quiet) as report:
        facts = train_judge(arguments.out, arguments.prompts, arguments.steps, arguments.seed, arguments.pairs, report)
    found = ", ".join(f"{name} {100 * one['accuracy']:.1f} %" for name, one in facts["sets"].items())
    console(arguments.quiet).print(f"{arguments.out}: {found}")
    return to_plain({"folder": str(arguments.out), **facts})


def _ended(
    out: Path, quiet: bool, train: Callable[[], Path], said: Callable[[Mapping[str, Any]], str]
) -> dict[str, object]:
    """Train; what facts.json of the finished folder holds, or which signal stopped it, and where."""
    try:
        folder = train()
    except Interrupted as stopped:
        console(quiet).print(str(stopped))
        return {"folder": str(out), "stopped": str(stopped)}
    facts = read_json_object(folder / "facts.json")
    console(quiet).print(f"{folder}: {said(facts)}")
    return {"folder": str(folder), **facts}
