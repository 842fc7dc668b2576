"""The options that the commands `dina-lrm align ...` share, and the configuration that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, get_args, get_type_hints

import tyro

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.alignment.applies import check_asked
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.console.before import Forced
from dina_lrm.console.common import UserError
from dina_lrm.console.config import ConfigArguments
from dina_lrm.console.options import DeviceOptions
from dina_lrm.console.own_recipe import Choice, value_of, with_own
from dina_lrm.console.tables import ReadsPrompts
from dina_lrm.recipes.alignment import DPO_RECIPES, GRPO_RECIPES, LPO_RECIPES, REFL_RECIPES
from dina_lrm.recipes.distillation import DISTILL_RECIPES
from dina_lrm.recipes.forward_alignment import AWM_RECIPES, CRAFT_RECIPES, CRD_RECIPES, DGPO_RECIPES, NFT_RECIPES
from dina_lrm.recipes.own import Given
from dina_lrm.recipes.own_alignment import own_alignment_of, with_generator
from dina_lrm.runs.lock import check_free
from dina_lrm.runs.places import check_folder
from dina_lrm.sampling.reward_term import named_term

RECIPES: Final[Mapping[type[AlignConfig], Mapping[str, Callable[[], AlignConfig]]]] = {
    ReflConfig: REFL_RECIPES,
    GrpoConfig: GRPO_RECIPES,
    LpoConfig: LPO_RECIPES,
    DpoConfig: DPO_RECIPES,
    NftConfig: NFT_RECIPES,
    AwmConfig: AWM_RECIPES,
    CraftConfig: CRAFT_RECIPES,
    CrdConfig: CRD_RECIPES,
    DgpoConfig: DGPO_RECIPES,
    DistillConfig: DISTILL_RECIPES,
}
"""The recipes of each algorithm, by name."""


@dataclass(kw_only=True)
class AlignArguments(DeviceOptions, ReadsPrompts, Forced, ConfigArguments):
    """Options of every `align` command."""

    recipe: AlignConfig
    """Which run: each command has a choice of its own."""
    prompts: str
    """A text file with a prompt a line, a published table or folder of prompts, or "synthetic"."""
    out: Path
    """The run's folder."""
    look_prompts: str | None = None
    """A text file with the prompts of the looks; by default they are the last lines of --prompts, which are then not
    trained on."""
    reward: tuple[str, ...] = ()
    """Rewards in place of the recipe's, each NAME or NAME=WEIGHT; latent ones are read at the noise level stored with
    them. Several are summed as z-scores."""
    more_rewards: tuple[str, ...] = ()
    """Rewards beside those, each NAME or NAME=WEIGHT."""
    export: Literal["kohya", "comfyui"] | None = None
    """Write the LoRA for other tools too, as OUT/lora-kohya.safetensors or OUT/lora-comfyui.safetensors: kohya's
    layout of Stable Diffusion and FLUX, or what ComfyUI reads of all families but SANA."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on from the newest checkpoint in --out; start when there is none."""
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False
    """Check everything on two updates of the smallest batch, say what the run would take, and keep nothing."""

    def check(self) -> None:
        """Refuse a folder in the way, a reward's weight that is no number, and settings that would do nothing."""
        if (self.out / "config.json").is_file() and not self.resume:
            raise UserError(f"--out {self.out}: holds a run already; add --resume, or give another folder")
        check_folder("--out", self.out)
        check_free(self.out)
        check_asked(self.config(), {name: make() for name, make in self.recipes().items()})

    @classmethod
    def meant(cls, words: Sequence[str]) -> tuple[type[AlignArguments], list[str]]:
        """Without a recipe, `--generator.pretrained` or a latent reward asks for the recipe own of that generator."""
        recipes = cls.recipes()
        make = partial(own_alignment_of, recipes["own"])
        named = with_generator(words, partial(value_of, words))
        return with_own(cls, named, "--generator.pretrained", partial(choices, recipes), make)

    @classmethod
    def recipes(cls) -> Mapping[str, Callable[[], AlignConfig]]:
        """The recipes of the command's algorithm."""
        hint = get_type_hints(cls)["recipe"]
        return next(table for kind, table in RECIPES.items() if kind in (hint, *get_args(hint)))

    @classmethod
    def recipes_for(cls, given: Given) -> Mapping[str, Callable[[], AlignConfig]]:
        """The recipes, own that of the generator that is given."""
        found = cls.recipes()
        make = partial(own_alignment_of, found["own"], given)
        return {**found, "own": make} if given("--generator.pretrained") else found

    def config(self) -> AlignConfig:
        """The recipe with the rewards and the type of number that were asked for."""
        chosen = tuple(named_term("--reward", text) for text in self.reward) or self.recipe.rewards
        beside = [named_term("--more-rewards", text) for text in self.more_rewards]
        generator = self.recipe.generator
        held = replace(generator, precision=self.precision(generator.precision))
        return replace(self.recipe, rewards=(*chosen, *beside), generator=held)


def choices(recipes: Mapping[str, Callable[[], AlignConfig]]) -> dict[str, Choice]:
    """The recipes, each with the first line of its documentation."""
    return {name: Choice(make(), (make.__doc__ or "").split("\n")[0]) for name, make in recipes.items()}
