"""`dina-lrm rank`: the pictures of a folder from best to worst."""

from __future__ import annotations

from dataclasses import replace

from dina_lrm.cli.arguments.rank import Arguments
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import console, titled_progress
from dina_lrm.evaluation.environment import command_line
from dina_lrm.profiling.estimates.reading import Scoring
from dina_lrm.ranking.job import ranked, rows_of
from dina_lrm.reward_model.personal import personal_model


def run(arguments: Arguments) -> dict[str, object]:
    """Score, order and show."""
    model = personal_model(arguments.settings.model, arguments.annotator)
    arguments.settings = settings = replace(
        arguments.settings,
        model=model,
        device=arguments.place(),
        dtype=arguments.dtype,
        encoders=arguments.encoders(),
        t5_weights=arguments.t5_weights,
    )
    estimate = _scoring(arguments).estimate()
    if arguments.dry_run:
        return say_estimate(estimate, settings.out, arguments.quiet)
    check_room(estimate, settings.out, arguments.force)
    found = ranked(settings, titled_progress(arguments.quiet, "picture"), command_line())
    for line in found.told():
        console(arguments.quiet).print(line)
    return found.to_dict()


def _scoring(arguments: Arguments) -> Scoring:
    """What is asked for, as it is estimated."""
    given = arguments.settings
    rows, _ = rows_of(given.folder, given.prompt)
    return Scoring(
        given.model,
        pictures=len(rows),
        prompts=rows.distinct_prompts,
        batch_size=given.batch_size,
        device=arguments.place(),
        dtype=arguments.torch_dtype(),
        job="rank",
        encoders=arguments.encoders(),
        t5_weights=arguments.t5_weights,
    )
