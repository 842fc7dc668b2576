"""The fenced blocks of the documents, and what a comment above a block says about running it.

<!-- not run: REASON -->    the block is never executed
<!-- slow: REASON -->       its document's test is marked slow
<!-- printed: WHAT -->      a text block: what the block before it prints, which the test compares
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUNNABLE = ("bash", "python")
OTHER = ("bibtex", "json", "text", "toml", "yaml")

FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<language>[^`\n]*)\n(?P<text>.*?)^(?P=indent)(?P=ticks)$", re.M | re.S
)
NOTE = re.compile(r"<!-- *(?P<kind>not run|slow|printed): *(?P<reason>.*?) *-->\s*\Z", re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: what it is written in, its text, the line of its fence, the comment above it."""

    language: str
    text: str
    line: int
    not_run: str | None = None
    slow: str | None = None
    printed: str | None = None


def blocks_of(markdown: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    found, end = [], 0
    for fence in FENCE.finditer(markdown):
        note = NOTE.search(markdown[end : fence.start()])
        notes = {note["kind"].replace(" ", "_"): note["reason"]} if note else {}
        line = markdown.count("\n", 0, fence.start()) + 1
        found.append(Block(fence["language"].strip(), fence["text"], line, **notes))
        end = fence.end()
    return found
