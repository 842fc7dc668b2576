"""`dina-lrm profile`: what a reward model costs, counted at full size or measured on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from dina_lrm.cli.arguments.profile import Arguments
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import UserError, console, progress
from dina_lrm.profiling.estimates.reading import Scoring
from dina_lrm.profiling.generators import GENERATORS
from dina_lrm.profiling.hardware import gpu
from dina_lrm.profiling.jobs import counted
from dina_lrm.profiling.measuring import measure_model
from dina_lrm.profiling.pixel_judges import pixel_judge
from dina_lrm.profiling.updates import update_costs
from dina_lrm.reports.cost.plot import draw_counted, draw_measured
from dina_lrm.reports.cost.tables import counted_shown, measured_shown
from dina_lrm.reports.cost.updates import draw_updates, updates_table


def run(arguments: Arguments) -> dict[str, object]:
    """Count or measure, and show the table."""
    gpu(arguments.gpu)
    for judge in arguments.pixel_rewards:
        pixel_judge(judge)
    if arguments.subject in GENERATORS:
        _check_counted(arguments)
        return _count(arguments)
    if not Path(arguments.subject).exists() and "/" not in arguments.subject and arguments.subject != "synthetic":
        raise UserError(
            f"{arguments.subject!r}: no such generator or reward model; accepted: {', '.join(GENERATORS)}, or a reward "
            'model: "synthetic", a folder, or a hub id'
        )
    return _measure(arguments)


def _count(given: Arguments) -> dict[str, object]:
    sizes = [(side, batch) for side in given.resolution for batch in given.batch_sizes]
    rest = (given.gpu, given.levels, given.pixel_rewards, given.dataset_pairs)
    with progress("counting", given.quiet, "job") as report:
        found = counted(given.subject, sizes, *rest, report)
    for part in counted_shown(found, sizes):
        console(given.quiet).print(part)
    if given.plot is not None:
        draw_counted(given.plot, found.of(*max(sizes)))
    return found.to_dict() | _updates(given)


def _updates(given: Arguments) -> dict[str, object]:
    """An update of each objective, where there is a reward of pixels to set beside the latent one."""
    if not given.pixel_rewards:
        return {}
    side, batch = max(given.resolution), min(given.batch_sizes)
    found = update_costs(given.subject, GENERATORS[given.subject], side, batch, given.pixel_rewards[-1])
    console(given.quiet).print(updates_table(found))
    if found.not_counted:
        console(given.quiet).print(f"not counted: {', '.join(found.not_counted)}")
    if given.update_plot is not None:
        draw_updates(given.update_plot, found)
    return {"updates": found.to_dict()}


def _measure(given: Arguments) -> dict[str, object]:
    if given.update_plot is not None:
        raise UserError(f"--update-plot with {given.subject}: updates are counted; accepted: {', '.join(GENERATORS)}")
    device, rest = given.place(), (given.batch_sizes, given.levels, given.rounds)
    estimate = _scoring(given, device).estimate()
    if given.dry_run:
        return say_estimate(estimate, None, given.quiet)
    check_room(estimate, None, given.force)
    held = given.encoders(), given.t5_weights
    with progress("measuring", given.quiet, "job") as report:
        found = measure_model(
            given.subject, torch.device(device), *rest, report, given.backbone, given.torch_dtype(), *held
        )
    for table in measured_shown(f"{given.subject} on {device}", found):
        console(given.quiet).print(table)
    if given.plot is not None:
        draw_measured(given.plot, found)
    return {"subject": given.subject, "device": device, "rows": [asdict(row) for row in found]}


def _check_counted(given: Arguments) -> None:
    """Refuse what would do nothing: of a generator that is counted nothing is loaded."""
    asked = {
        "--offload-encoders": given.offload_encoders,
        "--t5-weights": given.t5_weights is not None,
        "--dry-run": given.dry_run,
    }
    for option, is_given in asked.items():
        if is_given:
            raise UserError(f"{option} with {given.subject}: is counted without weights; accepted with a reward model")


def _scoring(given: Arguments, device: str) -> Scoring:
    """Scoring, as it is estimated; training and alignment are measured behind it."""
    return Scoring(
        given.subject,
        batch_size=max(given.batch_sizes),
        levels=given.levels,
        device=device,
        dtype=given.torch_dtype(),
        backbone=given.backbone,
        job="profile",
        encoders=given.encoders(),
        t5_weights=given.t5_weights,
    )
