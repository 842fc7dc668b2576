"""Names of pictures, and texts in their place, as errors and tables show them."""

from __future__ import annotations

import os
import re
from typing import Final

_LONGEST: Final = 100
_UNDECODED = re.compile("[\udc80-\udcff]")
"""How Python writes the bytes of a file's name that are not UTF-8."""


def shown(name: object) -> str:
    """A path or text in an error: its beginning and end where it is long; bytes that are no text are escaped."""
    text = printable(os.fspath(name) if isinstance(name, os.PathLike) else str(name))
    return text if len(text) <= 2 * _LONGEST else f"{text[:_LONGEST]}...{text[-20:]} ({len(text)} letters)"


def printable(text: str) -> str:
    """A text without what UTF-8 cannot say: a byte of a file's name that is no text becomes its hexadecimal escape."""
    escaped = _UNDECODED.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)
    return escaped.encode("utf-8", "backslashreplace").decode("utf-8")
