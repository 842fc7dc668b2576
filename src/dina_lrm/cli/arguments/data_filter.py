"""Options of `dina-lrm data filter`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import FlagCreatePairsOff

from dina_lrm.cli.arguments.comparisons import ComparisonArguments
from dina_lrm.console.common import UserError, WritesToOut
from dina_lrm.runs.places import check_file


@dataclass(kw_only=True)
class Arguments(WritesToOut, ComparisonArguments):
    """Write the comparisons of a file or a published data set that pass all filters asked for, as a file of ours.

    Filters run in the order in which they are listed below; each sees what those before it kept, and says what it
    removed and why. MPCF keeps a pair when the labelled winner is also ahead by the rewards that are named, which are
    computed here.

    Examples:
        dina-lrm data filter comparisons.jsonl --out kept.jsonl --deduplicate --pairs-per-prompt 3
        dina-lrm data filter hpdv3 --path HPDv3 --split train --not-in hpdv3:test=HPDv3 --mpcf default --clip clip
            --out kept.jsonl
    """

    out: Path
    """The file to write: .jsonl, .csv, or .parquet (which holds images that the source holds); it must not exist.
    A card is written beside it, OUT.card.md."""
    drop_ties: FlagCreatePairsOff[bool] = False
    """Leave out labels of exactly 1/2."""
    min_confidence: float | None = None
    """Least confidence of the data set in its own label; pairs without one are kept."""
    require_confidence: FlagCreatePairsOff[bool] = False
    """With --min-confidence: leave out pairs without one."""
    min_votes: int | None = None
    """Least number of people who judged a pair; pairs that do not say are left out."""
    min_agreement: float | None = None
    """Least share of the majority, in [0.5, 1]."""
    not_in: str | None = None
    """Test sets whose prompts and images must not occur, with commas between them: a file, or hpdv3:test=PATH.
    Images are compared by the content of their files."""
    deduplicate: FlagCreatePairsOff[bool] = False
    """One judgement of two images for a prompt, the first."""
    mpcf: Literal["strict", "default", "loose"] | None = None
    """Multi-preference consistent filtering: how far behind on aesthetics a winner may be (0, 0.5, 1)."""
    aesthetic: str | None = None
    """Reward of MPCF for aesthetics, by name as for `evaluate`; its gaps are on the scale of the LAION predictor."""
    clip: str | None = None
    """Reward of MPCF for image-text alignment, such as clip."""
    vqa: str | None = None
    """Second reward of MPCF for image-text alignment, such as vlm:MODEL."""
    pairs_per_prompt: int | None = None
    """At most so many pairs of one prompt, the first that come."""

    def rewards(self) -> dict[str, str]:
        """The rewards of MPCF by criterion."""
        given = {"aesthetic": self.aesthetic, "clip": self.clip, "vqa": self.vqa}
        return {criterion: reward for criterion, reward in given.items() if reward is not None}

    def check(self) -> None:
        """Refuse a file that is there, options that do not fit each other, and no filter at all."""
        if self.out.exists():
            raise UserError(f"--out {self.out}: exists already; give another file, or remove it first")
        check_file("--out", self.out)
        rewards = self.rewards()
        if rewards and self.mpcf is None:
            raise UserError(f"--{next(iter(rewards))}: is a reward of MPCF; give --mpcf strict, default or loose too")
        if self.mpcf is not None and not rewards:
            raise UserError("--mpcf: by which rewards? Give one or more of --aesthetic, --clip, --vqa")
        if self.require_confidence and self.min_confidence is None:
            raise UserError("--require-confidence: give --min-confidence too")
        limits = (self.min_confidence, self.min_votes, self.min_agreement, self.pairs_per_prompt)
        others = (self.not_in, self.mpcf, self.drop_ties or None, self.deduplicate or None)
        if all(asked is None for asked in (*limits, *others)):
            raise UserError("no filter was asked for; see dina-lrm data filter --help")
