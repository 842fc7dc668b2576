"""Choose the best of N samples by a reward, and drop the weak ones on the way, so that less is paid for.

    python examples/best_of_n.py --out best

Prints for each prompt what became of its samples: the step that one was dropped at, the score of one that was
finished, and a star at the chosen one. Then the mean reward and the true utility, which the synthetic world has, of a
first sample, of best-of-N and of pruned best-of-N, and what each of them cost. OUT/samples.png shows all samples of
each prompt as they would have ended, those that were dropped pale. Five prompts show how it works and not what it is
worth, which docs/sampling.md has of 64. Takes 25 seconds on two cores.

To make it yours, change the constants. `GENERATOR` is a pipeline of diffusers, a folder or a hub id, `REWARD` any that
`dina-lrm evaluate` knows ("latent:MODEL", "pickscore", "python:MODULE.FUNCTION"). At full size both want a GPU.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dina_lrm.generators.generator import Generator
from dina_lrm.generators.load import loaded_generator
from dina_lrm.generators.settings import usual_settings
from dina_lrm.sampling.job import SamplingJob
from dina_lrm.sampling.ledger import Evaluations, UnitFlops
from dina_lrm.sampling.pruning import Cut, Pruning
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.sampling.selection import Candidate, SamplingPlan, Selection
from dina_lrm.synthetic.captions import true_values

GENERATOR = "synthetic"
REWARD = "latent:synthetic"
PROMPTS = [
    "a large blue square on brown",
    "two small pink rings on gray",
    "a small red bar above a large cyan cross on white",
    "three large green triangles on white",
    "three small cyan crosses on brown",
]
N = 8
STEPS = 12
CUTS = (Cut(step=4, keep=4), Cut(step=7, keep=2))  # before step 4 the better half stays, before step 7 the best two
DEVICE = "cpu"


def fate(candidate: Candidate) -> str:
    """The step that a sample was dropped at, or the score that it was finished with."""
    if candidate.score is not None:
        return f"{candidate.score:+.2f}"
    return f"dropped at {max(candidate.step_scores)}"


def pictures(generator: Generator, selection: Selection, steps: int) -> NDArray[np.uint8]:
    """What each sample would have become, whether it was dropped or not; made to be looked at, and not paid for."""
    noise = generator.noise([candidate.seed for candidate in selection.candidates])
    told = generator.encode_prompts([selection.prompt] * len(noise))
    return generator.pictures(generator.denoise(noise, told, generator.levels(steps)))


def sheet(generator: Generator, selections: Sequence[Selection], steps: int) -> Figure:
    """A row a prompt, a column a sample; a pale picture was dropped, a framed one chosen."""
    columns = len(selections[0].candidates)
    figure = Figure(figsize=(1.4 * columns, 1.75 * len(selections)), layout="constrained")
    for row, one in zip(figure.subplots(len(selections), columns, squeeze=False), selections, strict=True):
        for axes, image, candidate in zip(row, pictures(generator, one, steps), one.candidates, strict=True):
            axes.imshow(image, alpha=0.25 if candidate.score is None else 1.0)
            axes.set(xticks=[], yticks=[])
            axes.set_title(fate(candidate), fontsize=9)
            chosen = candidate is one.candidates[one.chosen]
            for spine in axes.spines.values():
                spine.set(color="tab:green" if chosen else "lightgray", linewidth=3 if chosen else 1)
        row[0].set_ylabel("\n".join(wrap(one.prompt, 20)), fontsize=8)
    return figure


def said(name: str, selections: Sequence[Selection], images: NDArray[np.uint8], units: UnitFlops) -> str:
    """What was got for what was spent, as means over prompts."""
    utility = float(np.mean(true_values(images, [one.prompt for one in selections])["utility"]))
    score = float(np.mean([one.score for one in selections]))
    count, spent = len(selections), Evaluations.sum(one.spent for one in selections)
    passes = f"{spent.generator // count:4d} passes of the generator, {spent.reward // count:2d} scores"
    flops = f"{units.total(spent) / count / 1e9:5.2f} GFLOPs a prompt"
    return f"{name:18s} reward {score:+.2f}, true utility {utility:+.2f}: {passes}, {flops}"


def main() -> None:
    """Sample, drop, choose, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for samples.png")
    parser.add_argument("--prompts", nargs="+", default=PROMPTS)
    parser.add_argument("-n", type=int, default=N, help="samples a prompt")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    generator = loaded_generator(usual_settings(GENERATOR), DEVICE)
    reward, plan = RewardTerm(REWARD), SamplingPlan(given.n, STEPS)
    plain = SamplingJob(reward, plan).run(generator, given.prompts)
    pruned = SamplingJob(reward, plan, Pruning(CUTS)).run(generator, given.prompts)
    for one in pruned.chosen:
        fates = [fate(each) + "*" * (number == one.chosen) for number, each in enumerate(one.candidates)]
        print(f"{one.prompt}: {', '.join(fates)}")
    print(said("one sample", plain.alone, plain.alone_pixels, plain.units))
    print(said(f"best of {plan.n}", plain.chosen, plain.pixels, plain.units))
    print(said(f"pruned best of {plan.n}", pruned.chosen, pruned.pixels, pruned.units))
    sheet(generator, pruned.chosen, STEPS).savefig(given.out / "samples.png")
    print(f"pictures: {given.out / 'samples.png'}")


if __name__ == "__main__":
    main()
