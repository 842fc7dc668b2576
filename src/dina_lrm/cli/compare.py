"""`dina-lrm compare`: which of two images is preferred for a prompt."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.cli.common import CommonArguments, UserError, chosen_device, console
from dina_lrm.cli.levels import parsed_levels
from dina_lrm.screen import table_of, whole


@dataclass
class Arguments(CommonArguments):
    """Compare two images: raw scores, z-scores, and the probability that the first is preferred.

    Example:
        dina-lrm compare a.png b.png --prompt "a red cube" --model synthetic
    """

    image_a: Positional[Path]
    """The first image."""
    image_b: Positional[Path]
    """The second image."""
    prompt: str
    """What both were made for."""
    model: str = "synthetic"
    """The reward model: "synthetic", a folder, or a Hugging Face Hub id."""
    noise_level: float | None = None
    """Noise level in [0, 1]; by default the one stored with the model."""
    ensemble: str | None = None
    """Several noise levels read together, such as 0.2,0.5,0.7."""
    seed: int = 0
    """Of the noise; both images see the same."""
    backbone: str | None = None
    """Where the generator is, a folder or hub id, when it is not where the model says."""
    revision: str | None = None
    """Of a hub id."""
    device: str | None = None
    """Where to compute; by default the first GPU, else the CPU."""


def run(arguments: Arguments) -> dict[str, object]:
    """Score both images and show what follows."""
    levels = parsed_levels(arguments.noise_level, arguments.ensemble)
    if not arguments.prompt.strip():
        raise UserError("--prompt: is empty; accepted: the text that both images were made for")
    if whole(arguments.prompt) != arguments.prompt:
        raise UserError(f"--prompt {whole(arguments.prompt)}: holds bytes that are no UTF-8; accepted: text")
    from dina_lrm.data.prompt_sets import names_a_file

    if names_a_file(arguments.prompt) and Path(arguments.prompt).suffix:
        raise UserError(f"--prompt {arguments.prompt}: is called like a file; accepted: the text both were made for")
    images = [arguments.image_a, arguments.image_b]
    for image in images:
        if not image.is_file():
            raise UserError(f"{image}: no such image file")
    from dina_lrm.reward_model.model import LatentRewardModel

    model = LatentRewardModel.from_pretrained(
        arguments.model,
        backbone=arguments.backbone,
        revision=arguments.revision,
        device=chosen_device(arguments.device),
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        scores = model.score(images, arguments.prompt, levels, arguments.seed)
    probability = float(model.margin_probability(scores[0] - scores[1], levels))
    rows = [
        {"image": image, "score": float(score), "z": float(model.normalize(score))}
        for image, score in zip(images, scores, strict=True)
    ]
    cells = [(row["image"], f"{row['score']:.4f}", f"{row['z']:.3f}") for row in rows]
    shown = console(arguments.quiet)
    shown.print(table_of(("image", "score", "z"), cells))
    shown.print(f"P({arguments.image_a} preferred) = {probability:.4f}")
    notes = [str(note.message) for note in said]
    for note in notes:
        shown.print(note)
    return {"prompt": arguments.prompt, "images": rows, "probability_a": probability, "notes": notes}
