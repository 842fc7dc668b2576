"""Two sides of pictures, pair by pair, with all that was measured of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dina_lrm.evaluation.generators.comparison import PairedValues
from dina_lrm.pictures.spectrum import TextureSpectrum

PicturesOf = Callable[[int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]
"""The number of a pair -> its two pictures, (h, w, 3) each."""


@dataclass(frozen=True, eq=False)
class Sides:
    """What was measured of both sides: one value a pair and judge (`values`; diversity: one a prompt).

    `prompts` and `names` are those of the pairs; `optimised` names the rewards of the tuning, None where that is not
    known; `notes` are sentences on what was left out.
    """

    base: str
    tuned: str
    names: tuple[str, ...]
    prompts: tuple[str, ...]
    values: tuple[PairedValues, ...]
    spectra: tuple[TextureSpectrum, TextureSpectrum]
    pictures: PicturesOf
    optimised: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    settings: Mapping[str, str] | None = None
    per_prompt: int = 1
    """Pictures of a prompt and side, where all have as many."""

    @property
    def drawn(self) -> int:
        """How many things intervals draw: prompts, or pairs where no captions are known."""
        return max((len(np.unique(each.prompts)) for each in self.values), default=0)

    def of_pairs(self, kinds: Sequence[str]) -> list[PairedValues]:
        """The values of those kinds that are one a pair."""
        return [each for each in self.values if each.kind in kinds and len(each.base) == len(self.names)]
