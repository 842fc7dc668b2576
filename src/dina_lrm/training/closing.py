"""What a finished run says: what its accuracy was measured on, and what to do with the model."""

from __future__ import annotations

import shlex
from pathlib import Path

from dina_lrm.data.cache.remote.addresses import shown_address
from dina_lrm.training.trainer import TrainResult


def closing_sentence(result: TrainResult, held_from: str = "") -> str:
    """Steps, rate, accuracy and on what it was measured: pairs that were trained on say little of others.

    `held_from` says where held-out pairs come from that are none of the training data. An early stop has no accuracy.
    """
    found = result.validation
    assert found is not None
    if result.measured_on == "training":
        of = f"{found.pairs:,} training pairs, none held out: it says little of others"
    else:
        which = f", {result.held_out.partition(' pairs, ')[2]}" if result.held_out else f" {held_from}".rstrip()
        of = f"{found.pairs:,} held-out pairs{which}"
    missing = f" ({found.missing:,} could not be measured)" if found.missing else ""
    rate = f"{result.steps} steps in {result.seconds:.0f} s ({result.pairs_per_second:.0f} pairs/s)"
    return f"{rate}, accuracy {found.accuracy:.3f} on {of}{missing}; the reward model is {result.model_folder}"


def next_commands(model: Path, data: str, validation: str | None) -> list[str]:
    """What can be done with the model that was just made, as commands with its folder."""
    named, on = shlex.quote(str(model)), "synthetic" if data == "synthetic" else validation
    commands = [f"dina-lrm rank PICTURES --model {named}"]
    if on not in (None, "none"):
        out = shlex.quote(str(model.parent / "evaluation"))
        commands.append(f"dina-lrm evaluate {named} --on {shlex.quote(shown_address(str(on)))} --out {out}")
    else:
        commands.append(f"dina-lrm score --images PICTURES --prompts PROMPTS --model {named} --out scores.csv")
    return commands
