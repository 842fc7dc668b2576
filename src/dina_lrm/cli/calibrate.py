"""`dina-lrm calibrate`: a temperature for a reward model, fitted on pairs it was not trained on."""

from __future__ import annotations

from dataclasses import replace

from dina_lrm.cli.arguments.calibrate import Arguments
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import UserError, console, progress
from dina_lrm.data.sources.columns import parse_columns
from dina_lrm.evaluation.calibrated import calibrated_copy
from dina_lrm.evaluation.named_sets import named_sets
from dina_lrm.profiling.estimates.estimate import JobEstimate
from dina_lrm.profiling.estimates.reading import Evaluating


def run(arguments: Arguments) -> dict[str, object]:
    """Fit, show ECE before and after (each half of the prompts with the temperature of the other), write the copy."""
    sets = named_sets(arguments.on, None, arguments.source, "--on", parse_columns(arguments.columns))
    if len(sets) != 1:
        raise UserError(f"--on {arguments.on}: names {len(sets)} sets; accepted: one")
    estimate = _estimate(arguments)
    if arguments.dry_run:
        return say_estimate(estimate, arguments.out, arguments.quiet)
    check_room(estimate, arguments.out, arguments.force)
    with progress("scoring", arguments.quiet, "pair") as report:
        found = calibrated_copy(
            arguments.model,
            arguments.out,
            sets[0],
            pairs=arguments.pairs,
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            backbone=arguments.backbone,
            device=arguments.place(),
            dtype=arguments.torch_dtype(),
            encoders=arguments.encoders(),
            t5_weights=arguments.t5_weights,
            progress=report,
            option="--on",
        )
    console(arguments.quiet).print(str(found))
    before, after = found.before, found.after
    return {
        "out": arguments.out,
        "temperature": found.temperature,
        "pairs": found.pairs,
        "ece": {"before": before.ece, "after": after.ece, "low": after.ece_low, "high": after.ece_high},
        "log_score": {"before": before.log_score, "after": after.log_score},
    }


def _estimate(arguments: Arguments) -> JobEstimate:
    """What measuring the model takes."""
    measuring = Evaluating(
        (arguments.model,),
        arguments.batch_size,
        arguments.place(),
        arguments.torch_dtype(),
        arguments.backbone,
        arguments.encoders(),
        arguments.t5_weights,
    )
    return replace(measuring.estimate(), job="calibrate")
