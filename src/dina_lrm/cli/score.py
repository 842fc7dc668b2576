"""`dina-lrm score`: scores of many image files, as a table that grows and resumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dina_lrm.cli.common import CommandFailed, CommonArguments, chosen_device, console, progress
from dina_lrm.cli.levels import parsed_levels
from dina_lrm.cli.places import check_file

if TYPE_CHECKING:
    from dina_lrm.rewards.scoring.files import ScoreSummary
    from dina_lrm.rewards.scoring.rows import ScoreRows


@dataclass
class Arguments(CommonArguments):
    """Score images for prompts into a table with the columns image, prompt, score, z, error, content.

    A run that was stopped goes on when the same command is given; scores of another model, noise level or seed are
    never mixed in. A score belongs to what the image holds (`content` is its SHA-256): one that was made anew under its
    name is scored again. An image that cannot be scored is in the table with its error, and the exit code is 1.

    Example:
        dina-lrm score --images pictures --prompts "a red cube" --model synthetic --out scores.csv
    """

    images: Path
    """A folder (searched below too), an image, or a CSV, JSONL, JSON or Parquet table with a column `image`."""
    model: str
    """The reward model: "synthetic", a folder, or a Hugging Face Hub id."""
    out: Path
    """The table to write: .csv, .jsonl or .parquet."""
    prompts: str | None = None
    """A text for all images; a text file with one prompt a line; a table with the columns image and prompt, where an
    image may have several; or, for a table of images, the column that holds the prompts (by default `prompt`)."""
    noise_level: float | None = None
    """Noise level in [0, 1]; by default the one stored with the model."""
    ensemble: str | None = None
    """Several noise levels read together, such as 0.2,0.5,0.7."""
    seed: int = 0
    """Of the noise; every image of a size sees the same."""
    batch_size: int = 16
    """Images scored at once; changes no score."""
    backbone: str | None = None
    """Where the generator is, a folder or hub id, when it is not where the model says."""
    revision: str | None = None
    """Of a hub id."""
    device: str | None = None
    """Where to compute; by default the first GPU, else the CPU."""


def run(arguments: Arguments) -> dict[str, object]:
    """Score what has no score yet."""
    levels = parsed_levels(arguments.noise_level, arguments.ensemble)
    from dina_lrm.rewards.scoring.log import check_table
    from dina_lrm.rewards.scoring.rows import read_score_rows

    check_table(arguments.out)
    check_file("--out", arguments.out)
    from dina_lrm.reward_model.checks import checked_batch_size

    checked_batch_size("--batch-size", arguments.batch_size)
    rows = read_score_rows(arguments.images, arguments.prompts)
    summary = _scored(arguments, rows, levels)
    shown = console(arguments.quiet)
    for line in _told(summary, rows, arguments.out):
        shown.print(line)
    left_out = {"found": rows.scan.found, "left_out": dict(rows.scan.left_out)}
    result = asdict(summary) | left_out | {"out": arguments.out, "model": arguments.model, "noise_level": levels}
    if summary.failed:
        message = (
            f"{summary.failed} of {summary.rows} images have no score; the column error of {arguments.out} says why"
        )
        raise CommandFailed(message, result)
    return result


def _scored(arguments: Arguments, rows: ScoreRows, levels: float | tuple[float, ...] | None) -> ScoreSummary:
    from dina_lrm.data.generator_content import generator_content
    from dina_lrm.locate import locate_reward_model
    from dina_lrm.reward_model.model import LatentRewardModel
    from dina_lrm.rewards.scoring.files import score_files, weights_hash

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
            noise_level=levels,
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
