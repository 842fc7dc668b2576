"""The pictures that are most likely over-optimised: those that one judge came to like and the others did not.

    rise_j(i)     = (tuned_ij - base_ij) / standard deviation over i of base_ij
    suspicion(i)  = rise_proxy(i) - mean of rise_j(i) over the other judges + max(0, rise_grid energy(i))

The proxy is what was optimised; where that is not known, the judge whose mean rise is the largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dina_lrm.evaluation.generators.comparison import PairedValues
from dina_lrm.studio.hacked.sides import Sides


@dataclass(frozen=True)
class Suspicious:
    """A pair by its number, its suspicion, and the rises of its judges in spreads of the base."""

    pair: int
    suspicion: float
    rises: dict[str, float]


@dataclass(frozen=True)
class Suspects:
    """The most suspicious pairs first; `proxy` is the judge that they are suspected by, None where there is none."""

    proxy: str | None
    pairs: tuple[Suspicious, ...]


def suspects(sides: Sides, most: int = 8) -> Suspects:
    """At most `most` pairs with a positive suspicion; pairs with a missing value of the proxy are left out."""
    judges = sides.of_pairs(("reward",)) + [one for one in sides.of_pairs(("truth",)) if one.name == "true utility"]
    rises = {each.name: rise for each in judges if (rise := _rise(each)) is not None}
    proxy = _proxy(judges, rises)
    if proxy is None or len(rises) < 2:
        return Suspects(proxy, ())
    others = np.stack([rise for name, rise in rises.items() if name != proxy])
    grid = next((each for each in sides.of_pairs(("measure",)) if each.name == "grid_energy"), None)
    texture = None if grid is None else _rise(grid)
    lattice = 0.0 if texture is None else np.maximum(np.nan_to_num(texture), 0.0)
    suspicion = rises[proxy] - _mean_of_known(others) + lattice
    order = [int(row) for row in np.argsort(-np.nan_to_num(suspicion, nan=-np.inf), kind="stable")]
    chosen = [row for row in order if np.isfinite(suspicion[row]) and suspicion[row] > 0][:most]
    return Suspects(
        proxy,
        tuple(
            Suspicious(row, float(suspicion[row]), {name: float(rise[row]) for name, rise in rises.items()})
            for row in chosen
        ),
    )


def _rise(values: PairedValues) -> Float[np.ndarray, " pairs"] | None:
    """The rise of each pair in spreads of the base; None where the base does not vary."""
    known = values.base[np.isfinite(values.base)]
    spread = float(known.std()) if known.size > 1 else 0.0
    return (values.tuned - values.base) / spread if spread > 0 else None


def _proxy(judges: Sequence[PairedValues], rises: dict[str, Float[np.ndarray, " pairs"]]) -> str | None:
    optimised = [each.name for each in judges if each.role == "optimised" and each.name in rises]
    open_to_it = [each.name for each in judges if each.role == "unknown" and each.name in rises]
    asked = optimised or open_to_it
    means = {name: float(np.nanmean(rises[name])) for name in asked if np.isfinite(rises[name]).any()}
    return max(means, key=means.__getitem__) if means else None


def _mean_of_known(rises: Float[np.ndarray, "judges pairs"]) -> Float[np.ndarray, " pairs"]:
    """The mean over the judges that have a value; NaN where none has."""
    known = np.isfinite(rises)
    counts = known.sum(axis=0)
    total = np.where(known, rises, 0.0).sum(axis=0)
    return np.divide(total, counts, out=np.full(rises.shape[1], np.nan), where=counts > 0)
