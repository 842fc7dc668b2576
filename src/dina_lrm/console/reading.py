"""Options of the commands that read pictures with a latent reward model."""

from __future__ import annotations

from dataclasses import dataclass

from dina_lrm.console.common import CommonArguments
from dina_lrm.console.levels import parsed_levels


@dataclass(kw_only=True)
class ReadingArguments(CommonArguments):
    """At which noise levels a model reads, with which noise, from where, and on which device."""

    noise_level: float | None = None
    """Noise level in [0, 1]; by default the one stored with the model."""
    ensemble: str | None = None
    """Several noise levels read together, such as 0.2,0.5,0.7."""
    seed: int = 0
    """Seed of the noise; every image of a size sees the same."""
    backbone: str | None = None
    """Where the generator is, a folder or hub id, when it is not where the model says."""
    revision: str | None = None
    """Revision of a hub id: a branch, a tag or a commit."""
    device: str | None = None
    """Where to compute; by default the first GPU, else the CPU."""

    def levels(self) -> float | tuple[float, ...] | None:
        """The noise levels that are asked for; None is the model's own."""
        return parsed_levels(self.noise_level, self.ensemble)
