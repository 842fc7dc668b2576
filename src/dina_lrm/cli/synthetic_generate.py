"""`dina-lrm synthetic generate`: comparisons of the bundled world as files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dina_lrm.cli.common import CommonArguments, UserError, console, progress
from dina_lrm.cli.places import check_folder

if TYPE_CHECKING:
    from dina_lrm.synthetic.comparisons import Labelling, SyntheticComparisons

SetName = Literal["train", "in_domain", "unseen_compositions", "unseen_defects", "generated", "diagnostic", "on_policy"]


@dataclass
class Arguments(CommonArguments):
    """Write comparisons of the synthetic world: PNG files and a `comparisons.jsonl` that names them.

    The same seed gives the same files. The Bayes ceiling, the accuracy of a judge who knows the truth, is printed.

    Example:
        dina-lrm synthetic generate --set train --prompts 500 --out comparisons
    """

    out: Path
    """Folder to write; it must not exist or be empty."""
    set: SetName = "train"
    """Which comparisons: training pairs of the renderer, training pairs of the bundled generator's own samples
    (on_policy; minutes), or one of the test sets."""
    prompts: int = 500
    """Number of prompts (of pairs for a test set)."""
    images: int = 8
    """Pictures for each prompt of a training set; every pair of them is judged."""
    seed: int = 0
    """Another seed, other pictures and other votes."""
    personalities: list[str] = field(default_factory=lambda: ["balanced"])
    """Who judges training pairs: any of balanced, aesthete, literalist, careless."""
    votes: int = 1
    """Votes on each training pair; several make soft labels."""
    ties: float = 0.0
    """How readily annotators call a tie, 0 to 1."""
    redraw: bool = False
    """With `--set generated`: draw the bundled samples anew with the bundled generator (minutes)."""


def run(arguments: Arguments) -> dict[str, object]:
    """Make, judge and write the comparisons."""
    check_folder("--out", arguments.out)
    if arguments.out.exists() and any(arguments.out.iterdir()):
        raise UserError(f"{arguments.out}: exists and is not empty; give the name of a new folder")
    for name in ("prompts", "images", "votes"):
        least = 2 if name == "images" else 1
        if getattr(arguments, name) < least:
            raise UserError(f"--{name}: got {getattr(arguments, name)}; accepted: at least {least}")
    if not 0 <= arguments.ties <= 1:
        raise UserError(f"--ties: got {arguments.ties}; accepted: 0 to 1")
    if arguments.redraw:
        return _redraw(arguments)
    from dina_lrm.data.sources.writing import write_comparisons
    from dina_lrm.synthetic.comparisons import Labelling, training_comparisons
    from dina_lrm.synthetic.sets import synthetic_comparisons

    labels = Labelling(tuple(arguments.personalities), arguments.votes, arguments.ties)
    if arguments.set == "on_policy":
        made = _on_policy(arguments, labels)
    elif arguments.set == "train":
        made = training_comparisons(arguments.prompts, arguments.images, arguments.seed, labels)
    else:
        made = synthetic_comparisons(arguments.set, arguments.prompts, arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / "comparisons.jsonl"
    write_comparisons(target, made.write_images(arguments.out / "images"))
    result: dict[str, object] = {
        "comparisons": str(target),
        "pairs": len(made),
        "images": len(made.images),
        "prompts": len(made.prompts),
        "ties": int((made.preference == 0.5).sum()),
        "ceiling": made.ceiling,
        "seed": arguments.seed,
    }
    console(arguments.quiet).print(
        f"{len(made)} comparisons of {len(made.images)} images for {len(made.prompts)} prompts in {target}; "
        f"Bayes ceiling {made.ceiling:.3f}",
    )
    return result


def _on_policy(arguments: Arguments, labels: Labelling) -> SyntheticComparisons:
    from dina_lrm.synthetic.on_policy import on_policy_comparisons
    from dina_lrm.synthetic.world import bundled_pipeline

    with progress("Drawing samples", arguments.quiet) as report:
        return on_policy_comparisons(
            bundled_pipeline(), arguments.prompts, arguments.images, arguments.seed, labels, report
        )


def _redraw(arguments: Arguments) -> dict[str, object]:
    if arguments.set != "generated":
        raise UserError(f"--redraw: got --set {arguments.set}; accepted with --set generated only")
    from dina_lrm.synthetic.generated import PROMPTS, draw_generated, save_generated
    from dina_lrm.synthetic.world import bundled_pipeline

    prompts = min(arguments.prompts, PROMPTS)
    with progress("Drawing samples", arguments.quiet) as report:
        images = draw_generated(bundled_pipeline(), prompts, report)
    save_generated(images, arguments.out)
    console(arguments.quiet).print(f"{len(images)} samples and the oracle's judgement in {arguments.out}")
    return {"images": len(images), "folder": str(arguments.out)}
