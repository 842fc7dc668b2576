"""A reference of the KL that follows the policy in leaps (GARDO, arXiv 2512.24138).

Held near the base model for long, a policy cannot learn what the base is far from. Here the reference is the base model
at first, and becomes the policy as it is after an update in which the KL passed a limit, or after so many updates:

    reference := policy        where kl > limit, or `every` updates after the last time

GARDO's published runs have a limit of 3e-4 and 15 rollouts. How far the generator has gone from its base is then no
longer held by anything; `drift` of the looks says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import final

import torch
from torch import Tensor

from dina_lrm.runs.moving_average import MovingAverage
from dina_lrm.typed import DinaError


@final
class MovingReference:
    """A copy of the LoRA, which is the policy of the last reset, and the updates since then.

    Raises:
        ValueError: for neither a number of updates nor a limit of the KL.
    """

    def __init__(
        self, parameters: Mapping[str, torch.nn.Parameter], every: int | None = None, limit: float | None = None
    ) -> None:
        if every is None and limit is None:
            raise DinaError("moving reference: every and limit are None; accepted: a number of updates, a KL, or both")
        self._every, self._limit = every, limit
        self._copy = MovingAverage(parameters, 0.0)
        self._since = torch.zeros((), dtype=torch.int64)

    def acting(self) -> AbstractContextManager[None]:
        """Inside, the parameters hold the reference; nothing that was computed of them may await its gradient."""
        return self._copy.swapped_in()

    def follow(self, kl: float) -> bool:
        """Count an update whose mean KL to the reference is known, and reset where it is due; whether it was.

        A KL of NaN, of an update that learned nothing, is beyond no limit.
        """
        self._since += 1
        worn = self._every is not None and int(self._since) >= self._every
        far = self._limit is not None and kl > self._limit
        if worn or far:
            self._copy.move(0.0)
            self._since.zero_()
        return worn or far

    def tensors(self) -> Mapping[str, Mapping[str, Tensor]]:
        """The copy by the names of the parameters, and the updates since the last reset: what is written into them
        counts from then on.
        """
        return {"reference": self._copy.state_dict(), "reference age": {"updates": self._since}}
