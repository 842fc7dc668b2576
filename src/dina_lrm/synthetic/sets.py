"""All test sets of the synthetic world by name."""

from typing import Final

from dina_lrm.synthetic.comparisons import RENDERED_SETS, SyntheticComparisons, diagnostic, validation
from dina_lrm.synthetic.generated import generated
from dina_lrm.typed import DinaError

GENERATED: Final = "generated"
DIAGNOSTIC: Final = "diagnostic"
VALIDATION: Final = "validation"
TEST_SETS: Final = (*RENDERED_SETS, GENERATED, DIAGNOSTIC)
"""Names of the test sets, in the order in which they are reported; `validation` is for choices made before."""


def synthetic_comparisons(name: str, pairs: int = 2_000, seed: int = 0) -> SyntheticComparisons:
    """The judged pictures of a set; the diagnostic has `pairs` / 40 pairs for each fault.

    Raises ValueError for an unknown name.
    """
    if name in RENDERED_SETS:
        return RENDERED_SETS[name](pairs, seed)
    if name == GENERATED:
        return generated(pairs, seed)
    if name == VALIDATION:
        return validation(pairs, seed)
    if name == DIAGNOSTIC:
        return diagnostic(max(1, pairs // 40), seed)
    raise DinaError(f"synthetic set {name!r}; accepted: {', '.join((*TEST_SETS, VALIDATION))}")
