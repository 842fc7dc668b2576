"""`dina-lrm calibrate`: a temperature for a reward model, fitted on pairs it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.cli.common import CommonArguments, UserError, chosen_device, console, progress
from dina_lrm.cli.evaluation_sets import SyntheticSize, made_set, named_sets
from dina_lrm.runs.places import check_new_folder


@dataclass
class Arguments(CommonArguments):
    """Fit a temperature and store it with a copy of the model.

    Margins are divided by it before they become win probabilities; scores and rankings stay as they are. Give pairs
    that the model was neither trained nor will be tested on.

    Example:
        dina-lrm calibrate synthetic --on synthetic:validation --out calibrated
    """

    model: Positional[str]
    """The reward model: "synthetic", a folder, or a Hugging Face Hub id."""
    out: Path
    """Folder of the calibrated copy; it must not exist."""
    on: str = "synthetic:validation"
    """One set: "synthetic:validation", a file of comparisons, a cache folder, or a data set as SOURCE=PATH."""
    pairs: int = 6_000
    """Pairs of a synthetic set."""
    seed: int = 0
    """Of the noise and of a synthetic set."""
    batch_size: int = 64
    """Pairs scored at once; changes no score."""
    backbone: str | None = None
    """Where the generator is, a folder or hub id, when it is not where the model says."""
    source: str = "ours"
    """Which data set's columns a file has."""
    device: str | None = None
    """Where to compute; by default the first GPU, else the CPU."""

    def claims(self) -> Path:
        """Where the results go."""
        return self.out


def run(arguments: Arguments) -> dict[str, object]:
    """Fit, show ECE before and after (each half of the prompts with the temperature of the other), write the copy."""
    check_new_folder("--out", arguments.out)
    sets = named_sets(arguments.on, None, arguments.source)
    if len(sets) != 1:
        raise UserError(f"--on {arguments.on}: names {len(sets)} sets; accepted: one")
    from dina_lrm.evaluation.evaluate import judge_set
    from dina_lrm.evaluation.judges import LatentJudge
    from dina_lrm.reward_model.formats import ours as checkpoint
    from dina_lrm.reward_model.model import LatentRewardModel

    stored = checkpoint.read(arguments.model)
    device = chosen_device(arguments.device)
    model = LatentRewardModel.from_pretrained(arguments.model, backbone=arguments.backbone, device=device)
    item = made_set(sets[0], SyntheticSize(arguments.pairs, arguments.seed), lambda: model.backbone)
    judge = LatentJudge(model, arguments.model, (model.config.noise_level,), (), arguments.batch_size)
    with progress("scoring", arguments.quiet) as report:
        measured = judge_set(judge, item, arguments.seed, report).result.at(judge.reference)
    before, after = measured.calibration, measured.scaled.calibration
    if after is None:
        raise UserError(
            f"--on {arguments.on}: {len(item.data)} pairs of too few prompts to fit and judge a temperature"
        )
    temperature = model.config.temperature * measured.scaled.temperature
    checkpoint.write(arguments.out, replace(stored, config=replace(stored.config, temperature=temperature)))
    told = [c.interval.text(".1f", percent=True) for c in (before, after)]
    console(arguments.quiet).print(
        f"temperature {temperature:.3f} in {arguments.out}; "
        f"ECE in % at t = {model.config.noise_level:g} on {len(item.data)} pairs: {told[0]} before, {told[1]} with it; "
        f"a perfect model would show {100 * after.ece_floor:.1f}",
    )
    return {
        "out": arguments.out,
        "temperature": temperature,
        "pairs": len(item.data),
        "ece": {"before": before.ece, "after": after.ece, "low": after.ece_low, "high": after.ece_high},
        "log_score": {"before": before.log_score, "after": after.log_score},
    }
