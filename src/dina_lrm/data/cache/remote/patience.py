"""How long a server is waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dina_lrm.typed import require


@dataclass(frozen=True)
class Patience:
    """How often a file is asked for, how long nothing may come, and how long to wait before the second try.

    Seconds; each wait is twice the one before it.
    """

    tries: int = 5
    stall: float = 30.0
    wait: float = 1.0

    def __post_init__(self) -> None:
        require(self.tries >= 1, "tries", self.tries, "at least 1")
        require(self.stall > 0, "stall", self.stall, "above 0")
        require(self.wait >= 0, "wait", self.wait, "at least 0")


PATIENT: Final = Patience()
