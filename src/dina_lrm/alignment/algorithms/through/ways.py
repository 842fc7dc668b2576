"""The table of the ways of a reward's gradient."""

from __future__ import annotations

from typing import Final

from dina_lrm.alignment.algorithms.refl_settings import Through
from dina_lrm.alignment.algorithms.through.draft import LastSteps
from dina_lrm.alignment.algorithms.through.drtune import HeldSteps
from dina_lrm.alignment.algorithms.through.one import OneStep
from dina_lrm.alignment.algorithms.through.prfl import NoisyState
from dina_lrm.alignment.algorithms.through.way import Way

WAYS: Final[dict[Through, type[Way]]] = {"one": OneStep, "drtune": HeldSteps, "draft": LastSteps, "prfl": NoisyState}
"""By the name that `refl.through` has."""
