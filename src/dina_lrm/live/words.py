"""Rates and times as a person says them: 83 pairs/s, 7 s a pair, 1:02 left."""

from __future__ import annotations

import math
from typing import Final

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0


def rate_text(rate: float, unit: str) -> str:
    """A rate a second of things called `unit` (one of them); below one a second, the time that one takes."""
    if not math.isfinite(rate) or rate <= 0:
        return ""
    if rate >= 0.95:
        return f"{rate:,.0f} {unit}s/s" if rate >= 9.5 else f"{rate:.1f} {unit}s/s"
    one = 1 / rate
    article = "an" if unit.startswith(("a", "e", "i", "o", "up")) else "a"
    for limit, part, name in ((90 * _MINUTE, _HOUR, "h"), (90.0, _MINUTE, "min"), (0.0, 1.0, "s")):
        if one >= limit:
            return f"{one / part:.{0 if one / part >= 9.5 else 1}f} {name} {article} {unit}"
    return ""


def time_text(seconds: float) -> str:
    """A time as 0:07, 12:05 or 1:02:03; with days, 2 d 3 h."""
    if not math.isfinite(seconds):
        return ""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
