"""Complete, named runs: functions that return a `TrainConfig`, and the table of their names.

A new run is a function in a file of its kind and a row of its `RECIPES`; variants derive from another recipe's config
with `dataclasses.replace`. Nothing here imports torch.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from dina_lrm.recipes import lrm, own, paper, paper_architecture, synthetic, synthetic_lrm
from dina_lrm.training.config import TrainConfig
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Recipe:
    """A complete run: how it is made, and one line of help."""

    make: Callable[[], TrainConfig]
    help: str


RECIPES: dict[str, Recipe] = {
    "own": Recipe(own.own, "your generator, read from --model.pretrained FOLDER; the one that is taken with it alone"),
    "synthetic": Recipe(synthetic.synthetic, "LoRA on the bundled world: minutes on two CPU cores"),
    "synthetic-long": Recipe(synthetic.synthetic_long, "the recipe of the bundled reward model: longer, more prompts"),
    "synthetic-best": Recipe(synthetic.synthetic_best, "the winners of docs/results.md, at the same cost"),
    "synthetic-frozen": Recipe(synthetic.synthetic_frozen, "the same pairs, only the head learns (baseline)"),
    "synthetic-random": Recipe(synthetic.synthetic_random, "the same pairs on a random backbone (baseline)"),
    "synthetic-unet": Recipe(synthetic_lrm.synthetic_unet, "the paper's head on the world's U-Net"),
    "synthetic-unet-lrm": Recipe(synthetic_lrm.synthetic_unet_lrm, "LRM on the world's U-Net"),
    "synthetic-lrm": Recipe(synthetic_lrm.synthetic_lrm, "LRM's head and objective on the world's transformer"),
    "lrm-sd15": Recipe(lrm.sd15, "LRM on Stable Diffusion 1.5"),
    "lrm-sdxl": Recipe(lrm.sdxl, "LRM on SDXL"),
    "lrm-sd3": Recipe(lrm.sd3, "LRM on the first 18 blocks of Stable Diffusion 3"),
    "paper-sd35m": Recipe(paper.sd35m, "the paper's model: SD3.5-Medium, LoRA r=64, t uniform, noise-calibrated"),
    "paper-flux1-dev": Recipe(paper.flux1_dev, "the paper's model on the 19 double blocks of FLUX.1-dev"),
    "paper-z-image-turbo": Recipe(paper.z_image_turbo, "the paper's model on 16 layers of Z-Image-Turbo, LoRA r=32"),
    "paper-sd35m-released": Recipe(paper.sd35m_released, "with the constants of the code released with the paper"),
    "paper-sd35m-fixed-variance": Recipe(paper.sd35m_fixed_variance, "ablation: one variance at every noise level"),
    "paper-sd35m-frozen": Recipe(paper.sd35m_frozen, "ablation: frozen backbone"),
    "paper-sd35m-constant-0": Recipe(paper.sd35m_constant_0, "ablation: trained on clean latents, fixed variance"),
    "paper-sd35m-constant-0.2": Recipe(paper.sd35m_constant_02, "ablation: trained at t = 0.2, fixed variance"),
    "paper-sd35m-constant-0.7": Recipe(paper.sd35m_constant_07, "ablation: trained at t = 0.7, fixed variance"),
    "paper-sd35m-logit-normal-high": Recipe(paper.sd35m_logit_normal_high, "ablation: t ~ LogitNormal(0.8, 1)"),
    "paper-sd35m-logit-normal-low": Recipe(paper.sd35m_logit_normal_low, "ablation: t ~ LogitNormal(-0.8, 1)"),
    "paper-sd35m-depth-8": Recipe(paper_architecture.sd35m_depth_8, "ablation: 8 blocks"),
    "paper-sd35m-depth-16": Recipe(paper_architecture.sd35m_depth_16, "ablation: 16 blocks"),
    "paper-sd35m-depth-20": Recipe(paper_architecture.sd35m_depth_20, "ablation: 20 blocks"),
    "paper-sd35m-no-text": Recipe(paper_architecture.sd35m_no_text, "ablation: no text taps"),
    "paper-sd35m-one-tap": Recipe(paper_architecture.sd35m_one_tap, "ablation: features of the last block alone"),
    "paper-sd35m-full": Recipe(paper_architecture.sd35m_full, "ablation: all weights learn"),
    "paper-sd35m-bradley-terry": Recipe(paper_architecture.sd35m_bradley_terry, "ablation: Bradley-Terry likelihood"),
    "paper-sd35m-nll": Recipe(paper_architecture.sd35m_nll, "beyond the paper: negative log-likelihood"),
    "paper-sd35m-two-levels": Recipe(paper_architecture.sd35m_two_levels, "beyond the paper: two noise levels at once"),
    "paper-sd35m-best": Recipe(paper_architecture.sd35m_best, "beyond the paper: a teacher's labels, NLL"),
}


def recipe(name: str) -> TrainConfig:
    """The config of the recipe `name`; raises `ValueError` naming the nearest ones."""
    if name not in RECIPES:
        nearest = difflib.get_close_matches(name, RECIPES, n=2)
        hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
        raise DinaError(f"recipe {name!r} is unknown; {hint}accepted: {', '.join(RECIPES)}")
    return RECIPES[name].make()
