"""Means of what an update saw, over samples, passes and processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from dina_lrm.runs.processes import Processes


class Tally:
    """Sums and numbers of values by name. A name without values has the mean NaN."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names`: those that every process has in the end, whatever it saw."""
        self._sums: defaultdict[str, float] = defaultdict(float, dict.fromkeys(names, 0.0))
        self._counts: defaultdict[str, float] = defaultdict(float, dict.fromkeys(names, 0.0))

    def add(
        self, name: str, values: Float[Tensor, " samples"], counted: Bool[Tensor, " samples"] | None = None
    ) -> None:
        """Take in one value a sample; of those that are `counted`, where that is given."""
        kept = values.detach() if counted is None else values.detach()[counted]
        self._sums[name] += kept.double().sum().item()
        self._counts[name] += len(kept)

    def means(self, processes: Processes) -> dict[str, float]:
        """The mean of each, over all processes."""
        sums, counts = processes.mean(self._sums), processes.mean(self._counts)
        return {name: sums[name] / counts[name] if counts[name] else float("nan") for name in self._sums}
