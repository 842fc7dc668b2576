"""`dina-lrm score`: scores of many image files, as a table that grows and resumes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from dina_lrm.cli.common import CommandFailed, CommonArguments, chosen_device, console, progress
from dina_lrm.cli.levels import parsed_levels


@dataclass
class Arguments(CommonArguments):
    """Score images for prompts into a table with the columns image, prompt, score, z, error.

    A run that was stopped goes on when the same command is given; scores of another model, noise level or seed are
    never mixed in. An image that cannot be scored is in the table with its error, and the exit code is 1.

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
    """A text for all images; a text file with one prompt a line; a table with the columns image and prompt; or, for a
    table of images, the column that holds the prompts (by default `prompt`)."""
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
    from dina_lrm.rewards.score_rows import read_score_rows

    rows = read_score_rows(arguments.images, arguments.prompts)
    from dina_lrm.locate import locate_reward_model
    from dina_lrm.model import LatentRewardModel
    from dina_lrm.rewards.score_files import score_files, weights_hash

    folder = locate_reward_model(arguments.model, arguments.revision)
    model = LatentRewardModel.from_pretrained(
        folder, backbone=arguments.backbone, device=chosen_device(arguments.device)
    )
    with progress("scoring", arguments.quiet) as report:
        summary = score_files(
            model,
            rows,
            arguments.out,
            noise_level=levels,
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            made_by={"model": arguments.model, "weights": weights_hash(folder)},
            progress=report,
        )
    shown = console(arguments.quiet)
    shown.print(
        f"{summary.scored} of {summary.rows} images scored in {summary.seconds:.1f} s ({summary.already} had a score) "
        f"in {arguments.out}",
    )
    if summary.truncated:
        shown.print(
            f"{len(summary.truncated)} prompts are longer than the model reads, such as {summary.truncated[0]!r}",
        )
    result = asdict(summary) | {"out": arguments.out, "model": arguments.model, "noise_level": levels}
    if summary.failed:
        message = (
            f"{summary.failed} of {summary.rows} images have no score; the column error of {arguments.out} says why"
        )
        raise CommandFailed(message, result)
    return result
