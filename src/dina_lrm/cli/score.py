"""`dina-lrm score`: scores of many image files, as a table that grows and resumes."""

from __future__ import annotations

from dataclasses import asdict

from dina_lrm.cli.arguments.score import Arguments
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import CommandFailed, console, progress
from dina_lrm.data.sources.columns import parse_columns
from dina_lrm.evaluation.environment import command_line
from dina_lrm.profiling.estimates.reading import Scoring
from dina_lrm.reports.pages import check_page_place
from dina_lrm.reports.ranked.page import write_table_page
from dina_lrm.reward_model.checks import checked_batch_size
from dina_lrm.reward_model.personal import personal_model
from dina_lrm.rewards.scoring.files import score_files_by
from dina_lrm.rewards.scoring.rows import ScoreRows, read_score_rows


def run(arguments: Arguments) -> dict[str, object]:
    """Score what has no score yet."""
    arguments.model = personal_model(arguments.model, arguments.annotator)
    checked_batch_size("--batch-size", arguments.batch_size)
    if arguments.html is not None:
        check_page_place(arguments.html)
    engine = arguments.ray_engine()
    columns, out = parse_columns(arguments.columns, ("image", "prompt")), arguments.out
    rows = read_score_rows(arguments.images, arguments.prompts, columns)
    if arguments.dry_run:
        return say_estimate(_scoring(arguments, rows).estimate(), out, arguments.quiet)
    if engine is None:  # else others load the model
        check_room(_scoring(arguments, rows).estimate(), out, arguments.force)
    with progress("scoring", arguments.quiet, "picture") as report:
        summary = score_files_by(
            arguments.model,
            rows,
            out,
            noise_level=arguments.levels(),
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            backbone=arguments.backbone,
            revision=arguments.revision,
            device=arguments.device if engine else arguments.place(),
            dtype=arguments.torch_dtype(),
            encoders=arguments.encoders(),
            t5_weights=arguments.t5_weights,
            engine=engine,
            progress=report,
        )
    already, shown = f"{summary.already} had a score", console(arguments.quiet)
    shown.print(f"{summary.scored} of {summary.rows} images scored in {summary.seconds:.1f} s ({already}) in {out}")
    if rows.scan.left_out:
        shown.print(f"{rows.scan.found} files and folders found; {rows.scan.told()}")
    for line in (*filter(None, [rows.note]), *summary.notes()):
        shown.print(line)
    if arguments.html is not None and summary.rows > summary.failed:
        notes = list(summary.notes())
        shown.print(f"page: {write_table_page(arguments.html, rows, out, arguments.model, notes, command_line())}")
    left_out = {"found": rows.scan.found, "left_out": dict(rows.scan.left_out)}
    made = {"out": out, "model": arguments.model, "noise_level": arguments.levels()}
    result = asdict(summary) | left_out | made
    if summary.failed:
        told = f"{summary.failed} of {summary.rows} images have no score; the column error of {out} says why"
        raise CommandFailed(told, result)
    return result


def _scoring(arguments: Arguments, rows: ScoreRows) -> Scoring:
    """What is asked for, as it is estimated."""
    levels = arguments.levels()
    return Scoring(
        arguments.model,
        pictures=len(rows),
        prompts=rows.distinct_prompts,
        batch_size=arguments.batch_size,
        levels=len(levels) if isinstance(levels, tuple) else 1,
        device=arguments.place(),
        dtype=arguments.torch_dtype(),
        backbone=arguments.backbone,
        revision=arguments.revision,
        encoders=arguments.encoders(),
        t5_weights=arguments.t5_weights,
    )
