"""`dina-lrm compare`: which of two images is preferred for a prompt."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from torch import Tensor

from dina_lrm.cli.arguments.compare import Arguments
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import UserError, console
from dina_lrm.data.prompt_sets import names_a_file
from dina_lrm.profiling.estimates.reading import Scoring
from dina_lrm.reward_model.checks import NoiseLevels
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.reward_model.personal import personal_model
from dina_lrm.screen import table_of


def run(arguments: Arguments) -> dict[str, object]:
    """Score both images and show what follows."""
    arguments.model = personal_model(arguments.model, arguments.annotator)
    if names_a_file(arguments.prompt) and Path(arguments.prompt).suffix:
        raise UserError(f"--prompt {arguments.prompt}: is called like a file; accepted: the text both were made for")
    images, levels = [arguments.image_a, arguments.image_b], arguments.levels()
    estimate = _scoring(arguments).estimate()
    if arguments.dry_run:
        return say_estimate(estimate, None, arguments.quiet)
    check_room(estimate, None, arguments.force)
    model = LatentRewardModel.from_pretrained(
        arguments.model,
        backbone=arguments.backbone,
        revision=arguments.revision,
        device=arguments.place(),
        dtype=arguments.torch_dtype(),
        encoders=arguments.encoders(),
        t5_weights=arguments.t5_weights,
    )
    if model.weights:
        raise UserError(f"--model {arguments.model}: a weighted sum has no win probability; accepted: one score")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        every = model.scores(images, arguments.prompt, levels, arguments.seed)
    scores = model.main_among(every)
    probability = float(model.margin_probability(scores[0] - scores[1], levels))
    rows = [
        {"image": image, "score": float(score), "z": float(model.normalize(score))}
        for image, score in zip(images, scores, strict=True)
    ]
    named = {name: _named(model.named(name), found, levels) for name, found in every.items() if len(every) > 1}
    cells = [(row["image"], f"{row['score']:.4f}", f"{row['z']:.3f}") for row in rows]
    shown = console(arguments.quiet)
    shown.print(table_of(("image", "score", "z"), cells))
    shown.print(f"P({arguments.image_a} preferred) = {probability:.4f}")
    if named:
        lines = [(name, *(f"{z:.3f}" for z in one["z"]), f"{one['probability_a']:.4f}") for name, one in named.items()]
        shown.print(table_of(("score", "z of a", "z of b", "P(a preferred)"), lines))
    notes = [str(note.message) for note in said]
    for note in notes:
        shown.print(note)
    found = {"prompt": arguments.prompt, "images": rows, "probability_a": probability, "notes": notes}
    return {**found, "scores": named} if named else found


def _scoring(arguments: Arguments) -> Scoring:
    """What is asked for, as it is estimated."""
    levels = arguments.levels()
    return Scoring(
        arguments.model,
        pictures=2,
        prompts=1,
        batch_size=2,
        levels=len(levels) if isinstance(levels, tuple) else 1,
        device=arguments.place(),
        dtype=arguments.torch_dtype(),
        backbone=arguments.backbone,
        revision=arguments.revision,
        job="compare",
        encoders=arguments.encoders(),
        t5_weights=arguments.t5_weights,
    )


def _named(model: LatentRewardModel, scores: Tensor, levels: NoiseLevels | None) -> dict[str, Any]:
    """Raw scores and z-scores of both images under one name, and P(first preferred)."""
    probability = float(model.margin_probability(scores[0] - scores[1], levels))
    return {"score": scores.tolist(), "z": model.normalize(scores).tolist(), "probability_a": probability}
