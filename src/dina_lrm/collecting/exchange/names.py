"""The names of the formats, for those who only want to know them."""

from __future__ import annotations

from typing import Final

READS: Final = ("label-studio", "argilla", "arena", "comparisons", "page")
"""What votes are imported from."""
WRITES: Final = ("comparisons", "folder", "label-studio", "argilla")
"""What a store is exported to."""
