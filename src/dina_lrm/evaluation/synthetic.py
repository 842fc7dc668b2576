"""The test sets of the synthetic world, encoded for a backbone, with everything that is known about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from dina_lrm.evaluation.diagnostics import PairGroups
from dina_lrm.evaluation.rendered import RenderedComparisons
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.synthetic.comparisons import SyntheticComparisons
from dina_lrm.synthetic.encoding import encode
from dina_lrm.synthetic.generated import stored_oracle_error
from dina_lrm.synthetic.sets import DIAGNOSTIC, GENERATED, TEST_SETS, synthetic_comparisons

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

__all__ = ["DIAGNOSTIC", "SYNTHETIC_SETS", "evaluation_set", "synthetic_sets"]
SYNTHETIC_SETS: Final = TEST_SETS
"""Names of the test sets, in the order in which they are reported."""

ReportProgress = Callable[[int, int], None]
"""Called with (pictures done, pictures of the set)."""


def synthetic_sets(
    backbone: Backbone,
    names: Sequence[str] = SYNTHETIC_SETS,
    pairs: int = 2_000,
    seed: int = 0,
    progress: ReportProgress | None = None,
) -> dict[str, EvaluationSet]:
    """Render, judge and encode the named sets, `pairs` pairs each (of the diagnostic: a fortieth for each fault)."""
    return {name: evaluation_set(synthetic_comparisons(name, pairs, seed), backbone, progress) for name in names}


def evaluation_set(
    drawn: SyntheticComparisons, backbone: Backbone, progress: ReportProgress | None = None
) -> EvaluationSet:
    """Judged pictures as an evaluation set, encoded: what `rendered_set` gives, with all of its work done."""
    item = rendered_set(drawn, lambda: backbone)
    return replace(item, data=encode(drawn, backbone, progress=progress))


def rendered_set(drawn: SyntheticComparisons, backbone: Callable[[], Backbone]) -> EvaluationSet:
    """Judged pictures as an evaluation set: ceiling, true probabilities, faults, and the pictures themselves.

    They are encoded when a latent reward model judges them, by what `backbone` then gives.
    """
    groups = None
    if drawn.kind is not None and drawn.severity is not None:
        groups = PairGroups(drawn.kind, drawn.severity)

    def pictures(pair: int) -> tuple[np.ndarray, np.ndarray]:
        first, second = drawn.pairs[pair]
        return drawn.images[first], drawn.images[second]

    return EvaluationSet(
        name=drawn.source,
        data=RenderedComparisons(drawn, backbone),
        ceiling=drawn.ceiling,
        true_probability=drawn.probability,
        groups=groups,
        notes=(stored_oracle_error().sentence(),) if drawn.source == GENERATED else (),
        pictures=pictures,
    )
