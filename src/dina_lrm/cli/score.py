"""`dina-lrm score`: scores of many image files, as a table that grows and resumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from dina_lrm.cli.arguments.score import Arguments
from dina_lrm.cli.common import CommandFailed, chosen_device, console, progress
from dina_lrm.data.generator_content import generator_content
from dina_lrm.locate import locate_reward_model
from dina_lrm.reward_model.checks import checked_batch_size
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.scoring.files import ScoreSummary, score_files, weights_hash
from dina_lrm.rewards.scoring.rows import ScoreRows, read_score_rows


def run(arguments: Arguments) -> dict[str, object]:
    """Score what has no score yet."""
    checked_batch_size("--batch-size", arguments.batch_size)
    rows = read_score_rows(arguments.images, arguments.prompts)
    summary = _scored(arguments, rows)
    shown = console(arguments.quiet)
    for line in _told(summary, rows, arguments.out):
        shown.print(line)
    left_out = {"found": rows.scan.found, "left_out": dict(rows.scan.left_out)}
    made = {"out": arguments.out, "model": arguments.model, "noise_level": arguments.levels()}
    result = asdict(summary) | left_out | made
    if summary.failed:
        message = (
            f"{summary.failed} of {summary.rows} images have no score; the column error of {arguments.out} says why"
        )
        raise CommandFailed(message, result)
    return result


def _scored(arguments: Arguments, rows: ScoreRows) -> ScoreSummary:
    folder = locate_reward_model(arguments.model, arguments.revision)
    model = LatentRewardModel.from_pretrained(
        folder, backbone=arguments.backbone, device=chosen_device(arguments.device)
    )
    used = model.config.backbone
    generator = generator_content(used.pretrained, used.revision, used.prompt_length) or used.pretrained
    made_by = {"model": arguments.model, "weights": weights_hash(folder), "generator": generator}
    with progress("scoring", arguments.quiet) as report:
        return score_files(
            model,
            rows,
            arguments.out,
            noise_level=arguments.levels(),
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            made_by=made_by,
            progress=report,
        )


def _told(summary: ScoreSummary, rows: ScoreRows, out: Path) -> Iterator[str]:
    """What came of it, and all that is not as one would think, in lines."""
    yield (
        f"{summary.scored} of {summary.rows} images scored in {summary.seconds:.1f} s ({summary.already} had a score) "
        f"in {out}"
    )
    if rows.scan.left_out:
        yield f"{rows.scan.found} files and folders found; {rows.scan.told()}"
    if rows.note is not None:
        yield rows.note
    for count, told in (
        (summary.changed, "changed since scored under that name; the row is new"),
        (summary.unknown, "of a table by an earlier version, which did not say what it had scored; scored again"),
        (summary.gone, "cannot be read any more; the score from before was kept"),
        (summary.resized, "resized or cropped to a size that the model reads"),
        (summary.unused_profiles, "with a colour profile that cannot be used; taken as sRGB"),
    ):
        if count:
            yield f"{count} {'picture' if count == 1 else 'pictures'}: {told}"
    if summary.truncated:
        yield f"{len(summary.truncated)} prompts are longer than the model reads, such as {summary.truncated[0]!r:.200}"
    if summary.unread:
        yield f"{len(summary.unread)} prompts are not read whole, such as {summary.unread[0]:.200}"
