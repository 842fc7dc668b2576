"""Train a reward model on pairs of your own, and say how far it can be believed on pairs that it has not seen.

    python examples/train_a_reward_model.py --out reward

Prints how many pairs are learned and held out, the loss and the accuracy as they go, the accuracy on the held-out pairs
with its 95 % interval, and where the model lies. OUT/ranked.png shows the pictures of held-out prompts, the best first.
Takes 75 seconds on two cores.

To make it yours, change the constants. `PAIRS` is a file with a comparison a line, beside pictures on disk:

    {"prompt": "a red ring", "image_a": "images/1.png", "image_b": "images/2.png", "preference": 1.0}

where `preference` is the probability that the first picture is the better one. `RECIPE` names a complete run, and with
it the generator that the model reads: "paper-sd35m" is Stable Diffusion 3.5, which wants a GPU.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from dina_lrm import (
    Comparison,
    EncodedComparisons,
    LatentRewardModel,
    TrainingPlan,
    evaluate,
    read_comparisons,
    train,
)
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.recipes import recipe
from dina_lrm.recipes.data import data_for
from dina_lrm.synthetic.writing import SyntheticSet

PAIRS: Path | None = None  # a file of comparisons; None: pairs of the synthetic world are made
SYNTHETIC_PROMPTS = 300  # of those that are made, with eight pictures each and all 28 pairs judged once
HELD_OUT = 4  # every fourth prompt is held out, with all its pictures
RECIPE = "synthetic"
STEPS = 120
SHOWN = 6  # prompts in ranked.png


def made_pairs(folder: Path, prompts: int) -> Path:
    """Pictures and pairs of the synthetic world, as `dina-lrm synthetic generate` writes them."""
    file = folder / "comparisons.jsonl"
    if not file.exists():
        made = SyntheticSet(prompts=prompts).write(folder)
        print(
            f"made: {len(made)} pairs; a judge who knew the truth would be right in {100 * made.ceiling:.1f} % of them"
        )
    return file


def divided(data: EncodedComparisons) -> dict[str, EncodedComparisons]:
    """Pairs to learn from, and pairs of other prompts: a picture that was learned from says nothing of new ones."""
    held = data.pairs.prompt % HELD_OUT == 0
    return {"learned": data.subset((~held).nonzero().flatten()), "held out": data.subset(held.nonzero().flatten())}


def learned(out: Path, data: EncodedComparisons, steps: int) -> LatentRewardModel:
    """The model after `steps` of the recipe; OUT/run holds its checkpoints and numbers."""
    config = recipe(RECIPE)
    config = replace(config, steps=steps, log=replace(config.log, log_every=max(1, steps // 6)))
    model = train(TrainingPlan(config, data, out / "run", quiet=True)).model
    for line in map(json.loads, (out / "run" / "metrics.jsonl").read_text().splitlines()):
        if "loss" in line:
            print(f"step {line['step']:4d}: loss {line['loss']:.3f}, accuracy {100 * line['accuracy']:.1f} %")
    return model


def said(model: LatentRewardModel, name: str, data: EncodedComparisons) -> str:
    """Its accuracy with the interval; the pairs of a prompt are drawn together, since they share pictures."""
    result = evaluate(model, {name: EvaluationSet(name, data)}, ensembles=())
    found = result.of(name).at(result.reference).accuracy
    low, high = (f"{100 * end:.1f}" if end is not None else "?" for end in (found.low, found.high))
    share = f"{100 * found.accuracy:.1f} % ({low} to {high})"
    return f"{name}: the better one is found in {share} of {found.counted} pairs; tossing a coin has 50 %"


def ranked(model: LatentRewardModel, pairs: Sequence[Comparison], prompts: Sequence[str]) -> Figure:
    """A row of pictures a prompt, the best first."""
    figure = Figure(figsize=(10, 1.5 * len(prompts)), layout="constrained")
    for part, prompt in zip(figure.subfigures(len(prompts), 1, squeeze=False).flat, prompts, strict=True):
        images = list(dict.fromkeys(str(i) for p in pairs if p.prompt == prompt for i in (p.image_a, p.image_b)))[:8]
        scores = model.normalize(model.score(images, [prompt] * len(images))).tolist()
        part.suptitle(prompt, fontsize=9)
        for axes, place in zip(part.subplots(1, len(images)), np.argsort(scores)[::-1], strict=True):
            axes.imshow(Image.open(images[place]))
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(f"{scores[place]:+.2f}", fontsize=8)
    return figure


def main() -> None:
    """Read, hold out, learn, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for everything that is written")
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="file of comparisons")
    parser.add_argument("--prompts", type=int, default=SYNTHETIC_PROMPTS, help="prompts of pairs that are made")
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.pairs or made_pairs(given.out / "pairs", given.prompts)
    data = data_for(recipe(RECIPE), str(file))
    sides = divided(data)
    for name, side in sides.items():
        print(f"{name}: {len(side)} pairs of {len(side.pairs.prompt.unique())} prompts", flush=True)
    model = learned(given.out, sides["learned"], given.steps)
    print(said(model, "held out", sides["held out"]))
    prompts = [data.prompts[row] for row in sides["held out"].pairs.prompt.unique()[:SHOWN]]
    ranked(model, list(read_comparisons(file)), prompts).savefig(given.out / "ranked.png")
    print(f"model: {given.out / 'run' / 'model'}\npictures: {given.out / 'ranked.png'}")


if __name__ == "__main__":
    main()
