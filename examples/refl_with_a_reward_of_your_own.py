"""Tune a generator towards a reward of your own: reward feedback learning (ReFL) with a function of pictures.

    python examples/refl_with_a_reward_of_your_own.py --out warm

Prints what the reward says of pictures of prompts that are not trained on, before the first update and as they go, and
what two judges say who know nothing of it: a trained reward model, and the true utility, which the synthetic world has.
Where the reward rises at their cost, it is being hacked: that is the time to stop, or to hold the generator firmer
(`HOLD`). OUT/before_and_after.png shows the same prompts and the same noise before and after, OUT/run/report.html the
whole run, and OUT/run/lora is what `pipeline.load_lora_weights` of diffusers reads. Takes 35 seconds on two cores.

To make it yours, change `reward` and the constants. `GENERATOR` is a pipeline of diffusers, a folder or a hub id;
`dina_lrm.recipes.alignment.refl_sd35m` is a run of Stable Diffusion 3.5 to begin from, which wants a GPU.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from textwrap import wrap

from matplotlib.figure import Figure
from torch import Tensor

from dina_lrm.alignment.monitor.looks import Look
from dina_lrm.alignment.trainer import AlignmentRun
from dina_lrm.generators.load import loaded_generator
from dina_lrm.recipes.alignment import refl_synthetic
from dina_lrm.reports.alignment import write_alignment_report
from dina_lrm.sampling.reward_term import RewardTerm

GENERATOR = "synthetic"
GUIDANCE = 3.0
PROMPTS = [
    f"a {size} {colour} {shape} on {ground}"
    for size, colour, shape, ground in product(
        ("small", "large"), ("red", "green", "blue", "yellow"), ("triangle", "bar", "cross"), ("gray", "brown")
    )
]
SHOWN = PROMPTS[::9]  # these are only looked at, never trained on
JUDGE = "image:synthetic"  # another opinion; "pickscore" for pictures of this world
STEPS = 16
IMAGES = 16  # an update
LEARNING_RATE = 1e-3
HOLD = 0.7  # how firmly the generator is held near what it was; 0 lets it go


def reward(images: Tensor, prompts: Sequence[str]) -> Tensor:
    """Warm pictures: how much more red than blue there is.

    `images` is float32 (batch, 3, height, width) in [0, 1], with as many `prompts`; a score each, higher is better. It
    has to be made of torch operations, so that the gradient finds its way from a score back to the pixels.
    """
    red, _, blue = images.unbind(dim=1)
    return (red - blue).mean(dim=(1, 2))


def side_by_side(before: Look, after: Look) -> Figure:
    """Pictures of the same prompts and noise: before above, after below."""
    count = len(before.prompts)
    figure = Figure(figsize=(1.6 * count, 3.8), layout="constrained")
    axes = figure.subplots(2, count, squeeze=False)
    for row, (name, look) in enumerate({"before": before, "after": after}.items()):
        for column, image in enumerate(look.images):
            axes[row, column].imshow(image)
            axes[row, column].set(xticks=[], yticks=[], ylabel=name if column == 0 else "")
    for column, prompt in enumerate(before.prompts):
        axes[0, column].set_title("\n".join(wrap(prompt, 16)), fontsize=9)
    return figure


def main() -> None:
    """Sample, learn, look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for everything that is written")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--images", type=int, default=IMAGES, help="an update")
    given = parser.parse_args()
    recipe = refl_synthetic()
    config = replace(
        recipe,
        name="mine",
        steps=given.steps,
        batch_size=given.images,
        micro_batch=given.images,
        generator=replace(recipe.generator, pretrained=GENERATOR, guidance=GUIDANCE),
        rewards=(RewardTerm(f"python:{Path(__file__).stem}.reward"),),  # by its name, so that the run remembers it
        refl=replace(recipe.refl, kl_weight=HOLD),
        lr=LEARNING_RATE,
        looks=replace(recipe.looks, every=max(1, given.steps // 4), prompts=len(SHOWN), golden=JUDGE),
    )
    looks: list[Look] = []

    def on_look(look: Look) -> None:
        looks.append(look)
        found = look.means()
        told = {"reward": found["objective"], JUDGE: found[JUDGE], "true utility": found.get("true utility")}
        values = ", ".join(f"{name} {value:+.3f}" for name, value in told.items() if value is not None)
        print(f"update {look.step:3d}: {values}", flush=True)

    generator = loaded_generator(config.generator, "cpu", config.seed)
    learned = [prompt for prompt in PROMPTS if prompt not in SHOWN]
    run = AlignmentRun(config, generator, learned, SHOWN, given.out / "run")
    run.run(on_look, lambda step, steps, reward: None)
    side_by_side(looks[0], looks[-1]).savefig(given.out / "before_and_after.png")
    print(f"pictures: {given.out / 'before_and_after.png'}")
    print(f"report: {write_alignment_report(given.out / 'run')}")
    print(f"LoRA: {given.out / 'run' / 'lora'}")


if __name__ == "__main__":
    main()
