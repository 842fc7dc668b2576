"""A plan of training: the settings, the data, and the folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.training.config import TrainConfig

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """Everything that a training run is given."""

    config: TrainConfig
    data: EncodedComparisons
    folder: str | Path
    """The run's folder."""
    validation: EncodedComparisons | None = None
    """Held-out comparisons; None = a share of `data`, where `config.validation_fraction` asks for one."""
    pipeline: DiffusionPipeline | None = None
    """A loaded generator whose weights the reward model shares; None = it loads its own."""
    resume: bool = False
    """Go on from the newest whole checkpoint in `folder`; without one, begin."""
    resume_batch: int | None = None
    """Go on with batches of so many pairs (tokens, where the run counts these) from the checkpoint on: what is left of
    the epoch is cut anew, in its order; None = as the run did."""
    quiet: bool = False
    """Say nothing on standard error."""

    @property
    def place(self) -> Path:
        """The run's folder as a path."""
        return Path(self.folder)
