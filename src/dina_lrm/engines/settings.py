"""What is asked of Ray, as plain values: read before Ray is imported, which takes a second."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from dina_lrm.typed import DinaError

EngineName = Literal["local", "ray"]


@dataclass(frozen=True)
class RayEngine:
    """Workers of Ray that share a work; each of them holds what the work needs, such as a model.

    `address` is that of a Ray that runs ("auto", "10.0.0.1:6379"); None starts one on this machine, which ends with the
    work. `actors` is the number of workers: by default one for each GPU, and where there is none one for each machine.
    `cpus` are those that a worker counts for, and its threads.
    """

    address: str | None = None
    actors: int | None = None
    cpus: int = 1

    def check(self) -> None:
        """Raise ValueError for what could not run: numbers below one, or no Ray installed."""
        for name, value in (("--actors", self.actors), ("--actor-cpus", self.cpus)):
            if value is not None and not (1 <= value < math.inf):
                raise DinaError(f"{name} {value}; accepted: at least 1")
        if find_spec("ray") is None:
            raise DinaError("--engine ray: ray not installed; accepted: pip install 'dina-lrm[ray]', or --engine local")
