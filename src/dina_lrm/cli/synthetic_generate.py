"""`dina-lrm synthetic generate`: comparisons of the bundled world as files."""

from __future__ import annotations

from dina_lrm.cli.arguments.synthetic_generate import Arguments
from dina_lrm.console.common import console, progress
from dina_lrm.synthetic.comparisons import Labelling
from dina_lrm.synthetic.writing import COMPARISONS, SyntheticSet, redraw_generated


def run(arguments: Arguments) -> dict[str, object]:
    """Make, judge and write the comparisons."""
    if arguments.redraw:
        return _redraw(arguments)
    labels = Labelling(arguments.personalities or ("balanced",), arguments.votes or 1, arguments.ties or 0.0)
    wanted = SyntheticSet(
        arguments.set, arguments.prompts, arguments.images or 8, arguments.seed, labels, arguments.by_name
    )
    if arguments.set == "on_policy":
        with progress("drawing", arguments.quiet, "picture") as report:
            made = wanted.write(arguments.out, report)
    else:
        made = wanted.write(arguments.out)
    target = arguments.out / COMPARISONS
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


def _redraw(arguments: Arguments) -> dict[str, object]:
    with progress("drawing", arguments.quiet, "picture") as report:
        images = redraw_generated(arguments.out, arguments.prompts, report)
    console(arguments.quiet).print(f"{images} samples and the oracle's judgement in {arguments.out}")
    return {"images": images, "folder": str(arguments.out)}
