"""The options of `dina-lrm train`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from dina_lrm.console.before import Forced
from dina_lrm.console.common import UserError
from dina_lrm.console.config import ConfigArguments
from dina_lrm.console.former_options import with_sampler
from dina_lrm.console.options import DeviceOptions, OffloadOptions
from dina_lrm.console.own_recipe import Choice, recipe_type, with_own
from dina_lrm.console.tables import ReadsTables
from dina_lrm.recipes import RECIPES
from dina_lrm.recipes.own import Given, own_of
from dina_lrm.runs.places import check_folder
from dina_lrm.runs.ranges import COUNT, check_ranges, ranged
from dina_lrm.runs.trackers import check_trackers
from dina_lrm.training.applies import as_asked
from dina_lrm.training.config import TrainConfig


def _choices() -> dict[str, Choice]:
    return {name: Choice(recipe.make(), recipe.help) for name, recipe in RECIPES.items()}


if TYPE_CHECKING:
    RecipeChoice = TrainConfig
else:
    RecipeChoice = recipe_type(_choices())


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Arguments(OffloadOptions, DeviceOptions, ReadsTables, Forced, ConfigArguments):
    """Train a reward model: a recipe is a complete run, and every setting of it is an option.

    `dina-lrm train RECIPE --help` lists the settings with the recipe's values. Ctrl-C or SIGTERM finishes the step,
    saves the state and stops; the same command with --resume goes on. Under `accelerate launch -m dina_lrm train ...`
    the pairs of a batch are spread over the processes.

    Examples:
        dina-lrm train synthetic --data synthetic --out runs/first --steps 100 --optimizer.lr 1e-3
        dina-lrm train --model.pretrained my/generator --data pairs.jsonl --out runs/mine
    """

    recipe: Annotated[RecipeChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""
    data: str
    """A cache folder made by `prepare`, comparisons (a table in any layout of docs/data.md, or hub:OWNER/NAME), or
    "synthetic"."""
    out: Path
    """The run's folder."""
    validation: str | None = None
    """Held-out comparisons, as --data; measured every --log.evaluate-every steps and at the end. By default a tenth of
    the pairs, 2,000 at most, where there are 200 (see --validation-by); "none" trains on all."""
    annotator: str | None = None
    """Of --data votes.sqlite: train the model of one annotator, by the name they gave or their number, or with "all" a
    model of each. The pictures are encoded once; --out/annotator-NUMBER is the run of one."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on from the newest complete checkpoint in --out; start when there is none."""
    resume_batch: int | None = ranged(None, COUNT)
    """With --resume, batches of so many pairs (or tokens, with --batch-tokens) from the checkpoint on: the pairs that
    are left of the epoch keep their order and are cut anew. --batch-size stays what the run was started with."""
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False
    """Say what it takes by what is counted, then take two steps, report memory and an estimate of the time, and write
    nothing."""
    synthetic_prompts: int | None = ranged(None, COUNT)
    """Prompts of `--data synthetic`, eight pictures and all 28 comparisons of them each; 2,000 where none is given."""

    @classmethod
    def meant(cls, words: Sequence[str]) -> tuple[type[Arguments], list[str]]:
        """Without a recipe, `--model.pretrained` asks for the recipe own of that generator."""
        return with_own(cls, with_sampler(words), "--model.pretrained", _choices, own_of)

    def __post_init__(self) -> None:
        check_ranges(self)

    def check(self) -> None:
        """Refuse settings that would do nothing, a run in the way, and trackers that are not installed."""
        config = self.config()
        if self.synthetic_prompts is not None and "synthetic" not in (self.data, self.validation):
            raise UserError(f"--synthetic-prompts: has no effect on --data {self.data}; accepted with --data synthetic")
        if self.annotator is not None and Path(self.data).suffix.lower() != ".sqlite":
            raise UserError(f"--annotator: has no effect on --data {self.data}; accepted with a file votes.sqlite")
        if (self.out / "config.json").is_file() and not (self.resume or self.dry_run):
            raise UserError(f"--out {self.out}: holds a run already; add --resume, or give another folder")
        if self.resume_batch is not None and not self.resume:
            raise UserError(f"--resume-batch {self.resume_batch}: has no effect on a new run; accepted with --resume")
        check_trackers("log.trackers", config.log.trackers)
        check_folder("--out", self.out)

    @classmethod
    def recipes(cls) -> dict[str, Callable[[], TrainConfig]]:
        """The recipes by name."""
        return {name: recipe.make for name, recipe in RECIPES.items()}

    @classmethod
    def recipes_for(cls, given: Given) -> dict[str, Callable[[], TrainConfig]]:
        """The recipes, own that of the generator that is given."""
        return {**cls.recipes(), "own": partial(own_of, given)} if given("--model.pretrained") else cls.recipes()

    def config(self) -> TrainConfig:
        """The recipe with the options that were given. Raises ValueError for one that would do nothing."""
        compute = replace(self.recipe.compute, precision=self.precision(self.recipe.compute.precision))
        return as_asked(replace(self.recipe, compute=compute), {name: make() for name, make in self.recipes().items()})
