"""What is made of rewards before images of a group are compared, as plain values. Nothing here imports torch."""

from __future__ import annotations

from typing import Literal

from dina_lrm.typed import require

Transform = Literal["none", "win-rate"]


def check_transform(where: str, transform: Transform, combination: str) -> None:
    """Win rates of several rewards are averaged: ValueError for another combination of them."""
    fits = transform == "none" or combination == "sum"
    require(fits, f"{where}.combination", combination, f"sum with {where}.transform {transform}, which averages rates")
