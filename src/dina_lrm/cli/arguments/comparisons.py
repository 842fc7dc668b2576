"""Options of the commands that read comparisons from a file, or from a published data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.tables import ReadsComparisons


@dataclass(kw_only=True)
class ComparisonArguments(ReadsComparisons):
    """Which comparisons are read, and how."""

    source: Positional[str]
    """A table of comparisons in any layout of docs/data.md (JSONL, JSON, CSV, Parquet, WebDataset tar), the folder of
    one, hub:OWNER/NAME, or a data set: hpdv3, hpdv2, imagereward, genai-bench, pick-a-pic, released-latents."""
    path: Path | None = None
    """Where the data set is: its folder, or a table. Without it, genai-bench and pick-a-pic are streamed."""
