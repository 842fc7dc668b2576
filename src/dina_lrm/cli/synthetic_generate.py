"""`dina-lrm synthetic generate`: comparisons of the bundled world as files."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from dina_lrm.cli.common import CommonArguments, UserError, console, progress
from dina_lrm.runs.files import folder_replaced_when_complete
from dina_lrm.runs.places import check_folder
from dina_lrm.runs.ranges import COUNT, SEED, UNIT, Range, check_ranges, ranged
from dina_lrm.runs.settings import Applies, check_applies

if TYPE_CHECKING:
    from dina_lrm.synthetic.comparisons import Labelling, SyntheticComparisons

SetName = Literal["train", "in_domain", "unseen_compositions", "unseen_defects", "generated", "diagnostic", "on_policy"]


@dataclass
class Arguments(CommonArguments):
    """Write comparisons of the synthetic world: PNG files and a `comparisons.jsonl` that names them.

    The same seed gives the same files, and the folder appears when it is complete. The Bayes ceiling, the accuracy of
    a judge who knows the truth, is printed.

    Example:
        dina-lrm synthetic generate --set train --prompts 500 --out comparisons
    """

    out: Path
    """Folder to write; it must not exist or be empty."""
    set: SetName = "train"
    """Which comparisons: training pairs of the renderer, training pairs of the bundled generator's own samples
    (on_policy; minutes), or one of the test sets."""
    prompts: int = ranged(500, COUNT)
    """Number of prompts (of pairs for a test set)."""
    images: int | None = ranged(None, Range("an integer of at least 2", 2))
    """Pictures for each prompt of a training set, every pair of which is judged; 8 where nothing is said."""
    seed: int = ranged(0, SEED)
    """Another seed, other pictures and other votes."""
    personalities: tuple[str, ...] | None = None
    """Who judges training pairs: any of balanced (nothing said), aesthete, literalist, careless."""
    votes: int | None = ranged(None, COUNT)
    """Votes on each training pair; several make soft labels; 1 where nothing is said."""
    ties: float | None = ranged(None, UNIT)
    """How readily annotators of training pairs call a tie, 0 to 1; 0 where nothing is said."""
    redraw: bool = False
    """With `--set generated`: draw the bundled samples anew with the bundled generator (minutes)."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def claims(self) -> Path:
        """Where the comparisons go."""
        return self.out


_TRAINING: Final = ("train", "on_policy")
_RULES: Final = (
    Applies[Arguments](
        ("images", "votes", "ties", "personalities"), lambda a: a.set in _TRAINING, "--set train or on_policy"
    ),
    Applies[Arguments](("redraw",), lambda a: a.set == "generated", "--set generated"),
    Applies[Arguments](("seed",), lambda a: not a.redraw, "pictures that are not drawn anew from their own seeds"),
)


def run(arguments: Arguments) -> dict[str, object]:
    """Make, judge and write the comparisons."""
    defaults = {field.name: field.default for field in fields(Arguments)}
    check_applies(arguments, [name for name in defaults if getattr(arguments, name) != defaults[name]], _RULES)
    check_folder("--out", arguments.out)
    if arguments.out.exists() and (not arguments.out.is_dir() or any(arguments.out.iterdir())):
        raise UserError(f"{arguments.out}: exists and is not empty; give the name of a new folder")
    if arguments.out.exists() and arguments.out.samefile("."):
        raise UserError(f"{arguments.out}: is where you are; give the name of a new folder")
    # It has its name once it is complete: after a kill, the same command starts again
    with folder_replaced_when_complete(arguments.out) as folder:
        return _redraw(arguments, folder) if arguments.redraw else _generate(arguments, folder)


def _generate(arguments: Arguments, folder: Path) -> dict[str, object]:
    from dina_lrm.data.sources.writing import write_comparisons
    from dina_lrm.synthetic.comparisons import Labelling, training_comparisons
    from dina_lrm.synthetic.sets import synthetic_comparisons

    labels = Labelling(arguments.personalities or ("balanced",), arguments.votes or 1, arguments.ties or 0.0)
    labels.annotators()  # refuses unknown ones before any picture is drawn
    images = arguments.images or 8
    if arguments.set == "on_policy":
        made = _on_policy(arguments, images, labels)
    elif arguments.set == "train":
        made = training_comparisons(arguments.prompts, images, arguments.seed, labels)
    else:
        made = synthetic_comparisons(arguments.set, arguments.prompts, arguments.seed)
    target = arguments.out / "comparisons.jsonl"
    write_comparisons(folder / target.name, made.write_images(folder / "images"))
    console(arguments.quiet).print(
        f"{len(made)} comparisons of {len(made.images)} images for {len(made.prompts)} prompts in {target}; "
        f"Bayes ceiling {made.ceiling:.3f}"
    )
    return {
        "comparisons": str(target),
        "pairs": len(made),
        "images": len(made.images),
        "prompts": len(made.prompts),
        "ties": int((made.preference == 0.5).sum()),
        "ceiling": made.ceiling,
        "seed": arguments.seed,
    }


def _on_policy(arguments: Arguments, images: int, labels: Labelling) -> SyntheticComparisons:
    from dina_lrm.synthetic.on_policy import on_policy_comparisons
    from dina_lrm.synthetic.world import bundled_pipeline

    with progress("Drawing samples", arguments.quiet) as report:
        return on_policy_comparisons(bundled_pipeline(), arguments.prompts, images, arguments.seed, labels, report)


def _redraw(arguments: Arguments, folder: Path) -> dict[str, object]:
    from dina_lrm.synthetic.generated import PROMPTS, draw_generated, save_generated
    from dina_lrm.synthetic.world import bundled_pipeline

    prompts = min(arguments.prompts, PROMPTS)
    with progress("Drawing samples", arguments.quiet) as report:
        images = draw_generated(bundled_pipeline(), prompts, report)
    save_generated(images, folder)
    console(arguments.quiet).print(f"{len(images)} samples and the oracle's judgement in {arguments.out}")
    return {"images": len(images), "folder": str(arguments.out)}
