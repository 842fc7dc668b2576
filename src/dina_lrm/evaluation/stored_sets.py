"""An evaluation set on disk, so that several processes can be given it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.evaluation.diagnostics import PairGroups
from dina_lrm.evaluation.sets import EvaluationSet


@dataclass(frozen=True, eq=False)
class StoredSet:
    """An evaluation set whose encoded pairs lie in a folder, so that any process can open it."""

    name: str
    folder: Path
    ceiling: float | None
    true_probability: Float[np.ndarray, " pairs"] | None
    groups: PairGroups | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, chosen: EvaluationSet, folder: Path, backbone: BackboneConfig) -> StoredSet:
        """Save the pairs of the set as `folder`."""
        chosen.encoded.save(folder, backbone)
        return cls(chosen.name, folder, chosen.ceiling, chosen.true_probability, chosen.groups, chosen.notes)

    def open(self) -> EvaluationSet:
        """The set, its tensors memory-mapped."""
        data = EncodedComparisons.load(self.folder)
        return EvaluationSet(self.name, data, self.ceiling, self.true_probability, self.groups, self.notes)
