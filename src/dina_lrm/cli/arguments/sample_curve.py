"""The options of `dina-lrm sample curve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dina_lrm.console.common import FIRST_SEEDS, CommonArguments, UserError, WritesToOut, check_seeds
from dina_lrm.runs.places import check_folder


@dataclass
class Arguments(WritesToOut, CommonArguments):
    """Draw candidates for prompts of the synthetic world and measure best-of-N at every N: reward, true utility, FLOPs.

    Everything is read off one pool a seed, which OUT/pools keeps: what is there is not drawn again. Three cuts are
    measured beside plain best-of-N. OUT gets curve.json, curve.md (the table) and curve.png. With the defaults it takes
    eight minutes of one core.

    Example:
        dina-lrm sample curve --prompt-count 4 --candidates 4 --seeds 0 --out curve
    """

    out: Path
    """Folder of the study."""
    prompt_count: int = 64
    """Prompts, the same for all seeds."""
    candidates: int = 16
    """Candidates of a prompt in each pool; the largest N is twice as many where there are several seeds."""
    seeds: tuple[int, ...] = FIRST_SEEDS
    """One pool each."""
    steps: int = 10
    """Sampling steps, at least 10: cuts are at three and five tenths of them."""
    batch_size: int = 64
    """Images in the networks at once."""

    def check(self) -> None:
        """Refuse numbers out of range, and a folder that cannot be written."""
        for name, least in (("prompt_count", 2), ("candidates", 1), ("steps", 10), ("batch_size", 1)):
            given = getattr(self, name)
            if given < least:
                raise UserError(f"--{name.replace('_', '-')} {given}; accepted: whole numbers of at least {least}")
        check_seeds(self.seeds)
        check_folder("--out", self.out)
