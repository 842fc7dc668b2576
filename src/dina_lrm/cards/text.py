"""The text of a card: metadata in front, Markdown behind, and one part that measurements are written into later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from huggingface_hub import CardData, ModelCard
from yaml import YAMLError

from dina_lrm.screen import escaped
from dina_lrm.typed import DinaError

PLACE: Final = "PATH OR HUB ID"
"""Stands in the code of a card until it is known where the thing will lie."""
_BEGIN: Final = "<!-- dina-lrm: measured -->"
_END: Final = "<!-- dina-lrm: end of measured -->"


def card_text(data: CardData, body: str) -> str:
    """A whole README.md: `data` as the YAML that the hub reads, then `body`."""
    return f"---\n{data.to_yaml()}\n---\n\n{body.rstrip()}\n"


def read_card(path: Path) -> ModelCard:
    """A card that lies on this machine. Raises ValueError naming the file for what is none."""
    try:
        return ModelCard.load(path, ignore_metadata_errors=True)
    except (ValueError, TypeError, YAMLError) as error:
        told = " ".join(str(error).split())
        raise DinaError(f"{path}: no card ({told:.200}); accepted: Markdown behind metadata in YAML") from error


def table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    """A Markdown table, a row for each mapping; cells are one line each, whatever the values hold."""
    lines = [columns, ["---"] * len(columns), *([_cell(row.get(name, "")) for name in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def facts_table(facts: Mapping[str, object]) -> str:
    """A Markdown table of names and values; a value of None is left out."""
    rows = [{"fact": name, "value": value} for name, value in facts.items() if value is not None]
    return table(("fact", "value"), rows)


def python(code: str) -> str:
    """A block of Python in Markdown."""
    return f"```python\n{code.strip()}\n```"


def measured_part(text: str) -> str:
    """The section of measurements, between comments that `with_measured` finds again."""
    return f"## Measured\n\n{_BEGIN}\n\n{text}\n\n{_END}"


def with_measured(body: str, text: str) -> str | None:
    """`body` with another text between the comments of `measured_part`; None where it has them no more."""
    before, begin, rest = body.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    return f"{before}{begin}\n\n{text}\n\n{end}{after}" if begin and end else None


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return escaped(text.replace("\n", " ")).replace("|", "\\|").replace("<", "&lt;")
