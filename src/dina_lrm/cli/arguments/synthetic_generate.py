"""The options of `dina-lrm synthetic generate`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal

from dina_lrm.console.common import CommonArguments, WritesToOut
from dina_lrm.runs.places import check_folder
from dina_lrm.runs.ranges import COUNT, SEED, UNIT, Range, check_ranges, ranged
from dina_lrm.runs.settings import Applies, check_applies

SetName = Literal["train", "in_domain", "unseen_compositions", "unseen_defects", "generated", "diagnostic", "on_policy"]


@dataclass
class Arguments(WritesToOut, CommonArguments):
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
    by_name: bool = False
    """Write what was said of alignment and of quality too, as `preferences`, for models with scores of these names."""
    redraw: bool = False
    """With `--set generated`: draw the bundled samples anew with the bundled generator (minutes)."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def check(self) -> None:
        """Refuse settings that would do nothing, and a folder that cannot be written."""
        defaults = {field.name: field.default for field in fields(self)}
        check_applies(self, [name for name in defaults if getattr(self, name) != defaults[name]], _RULES)
        check_folder("--out", self.out)


_TRAINING: Final = ("train", "on_policy")
_RULES: Final = (
    Applies[Arguments](
        ("images", "votes", "ties", "personalities"), lambda a: a.set in _TRAINING, "--set train or on_policy"
    ),
    Applies[Arguments](("redraw",), lambda a: a.set == "generated", "--set generated"),
    Applies[Arguments](("seed",), lambda a: not a.redraw, "pictures that are not drawn anew from their own seeds"),
)
