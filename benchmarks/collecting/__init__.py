"""What collecting votes costs and keeps: `python -m benchmarks collecting PART [OPTION ...]`, a part a file."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

PARTS: Final = {
    "interrupted": "a server that is killed between a vote and its answer: nothing is lost, nothing doubled",
    "annotators": "what is found of simulated annotators, and how well their weighed votes say who is better",
    "choice": "how many votes a way of choosing pairs saves, where utilities are linear",
    "personal": "a model of each of two people of different taste, on the votes of each",
    "taught": "how fast a taste is learnt: pairs at random against pairs that are chosen",
    "curves": "a table and a picture of what `taught` kept",
    "browser": "the same in a real browser: somebody presses the keys of the page, and the command learns",
    "latency": "from a vote to the next picture in a real browser",
}


def main(words: list[str]) -> None:
    """Run the part that is named, or all of them with their default sizes."""
    if words and words[0] not in PARTS:
        told = "; ".join(f"{name}: {about}" for name, about in PARTS.items())
        sys.exit(f"benchmark collecting {words[0]!r}; accepted: {told}")
    for part in words[:1] or PARTS:
        import_module(f"benchmarks.collecting.{part}").main(words[1:])
