"""`dina-lrm synthetic pretrain`, `uncurate` and `judge`: the bundled networks from nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dina_lrm.cli.arguments.synthetic_training import Judge, Pretrain, Uncurate
from dina_lrm.console.common import console, progress
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.synthetic.pretraining.card import measured_sentence
from dina_lrm.synthetic.pretraining.judge import train_judge
from dina_lrm.synthetic.pretraining.loop import Interrupted
from dina_lrm.synthetic.pretraining.run import pretrain as pretrain_generator
from dina_lrm.synthetic.pretraining.uncurated import uncurate as train_uncurated
from dina_lrm.typed import to_plain


def pretrain(given: Pretrain) -> dict[str, object]:
    """Train a generator, save, and say what was measured."""
    with progress("pretraining", given.quiet, "step") as line:
        told = lambda stage, step, steps, loss: line(step, steps, f"{stage}  loss {loss:.4f}")  # noqa: E731 - as below
        return _ended(given.out, given.quiet, lambda: pretrain_generator(given.config, given.out, told))


def uncurate(given: Uncurate) -> dict[str, object]:
    """Train the LoRA, save, and say what was measured."""
    with progress("training", given.quiet, "step") as line:
        told = lambda _, step, steps, loss: line(step, steps, f"loss {loss:.4f}")  # noqa: E731 - its types are those of the call
        return _ended(given.out, given.quiet, lambda: train_uncurated(given.config, given.seed, given.out, told))


def judge(given: Judge) -> dict[str, object]:
    """Train the judge of pixels, save, and say what was measured."""
    with progress("training", given.quiet, "step") as report:
        facts = train_judge(given.out, given.prompts, given.steps, given.seed, given.pairs, report)
    console(given.quiet).print(f"{given.out}: {measured_sentence(facts)}")
    return to_plain({"folder": str(given.out), **facts})


def _ended(out: Path, quiet: bool, train: Callable[[], Path]) -> dict[str, object]:
    """Train; what facts.json of the finished folder holds, or which signal stopped it, and where."""
    try:
        folder = train()
    except Interrupted as stopped:
        console(quiet).print(str(stopped))
        return {"folder": str(out), "stopped": str(stopped)}
    facts = read_json_object(folder / "facts.json")
    console(quiet).print(f"{folder}: {measured_sentence(facts)}")
    return {"folder": str(folder), **facts}
