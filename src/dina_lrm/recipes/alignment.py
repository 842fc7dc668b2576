"""Complete alignment runs. A new one is a function here and a row of `ALIGNMENT_RECIPES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dina_lrm.alignment.config import AlignConfig, GeneratorSettings, ReflSettings, RewardTerm


def refl_synthetic() -> AlignConfig:
    """ReFL on the bundled world with the bundled reward model.

    `dina-lrm align refl synthetic --prompts synthetic --out runs/refl`
    """
    return AlignConfig(
        name="synthetic",
        steps=60,
        batch_size=16,
        micro_batch=16,
        generator=GeneratorSettings("synthetic", 32, 0, rank=16, alpha=32.0, sampling_steps=20, guidance=3.0),
        rewards=(RewardTerm("latent:synthetic", noise_level=0.2),),
        refl=ReflSettings(first=14, last=19),
        lr=3e-4,
        look_every=20,
        look_prompts=32,
        look_images=2,
        checkpoint_every=20,
    )


def refl_sd35m() -> AlignConfig:
    """The paper's run on Stable Diffusion 3.5 Medium (section 5): LoRA r=32, batches of 256, the reward at t = 0.4.

    `dina-lrm align refl paper-sd35m --prompts pick-a-pic.txt --out runs/refl --device cuda`

    The reward is the folder released with the paper, in the working directory. Expected: the paper's figure 3; not
    measured here.
    """
    return AlignConfig(name="paper-sd35m", rewards=(RewardTerm("latent:DiNa-LRM-SD35M-12layers"),))


ALIGNMENT_RECIPES: Final[dict[str, Callable[[], AlignConfig]]] = {
    "synthetic": refl_synthetic,
    "paper-sd35m": refl_sd35m,
}
"""ReFL runs by name."""
