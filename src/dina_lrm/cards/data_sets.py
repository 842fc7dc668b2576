"""The cards of data sets: comparisons in a table, and caches of what a generator's encoders made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from huggingface_hub import DatasetCardData

from dina_lrm import __version__
from dina_lrm.cards.bases import UNKNOWN
from dina_lrm.cards.text import PLACE, card_text, facts_table, python, table

SIGN: Final = "Written by dina-lrm"
"""In every card that stands beside a file, so that it is known again."""
COLUMNS: Final[Mapping[str, str]] = {
    "prompt": "the words that both pictures were made for",
    "image_a": "the first picture: a path relative to the table, or the bytes of an image file",
    "image_b": "the second picture",
    "preference": "the share of judgements in which the first was preferred, in [0, 1]; 0.5 is a tie",
    "weight": "how much the pair counts in training",
    "source": "where the pair comes from",
    "pair_id": "a name of the pair",
    "prompt_id": "a name of the prompt",
    "confidence": "how sure the source is of its label, in [0, 1]",
    "votes": "how many people judged the pair",
    "preferences": "the share that preferred the first, for each question that was asked, by its name",
}
"""What the columns of a table of comparisons hold."""
_CACHED: Final[Mapping[str, str]] = {
    "pairs.parquet": "a row for each comparison: rows of its prompt and its two pictures, preference, weight, names",
    "prompts.parquet": "the text of each prompt, and how it was cut, if it was",
    "images.parquet": "the name of each picture, the key of its content, its size, and where its latents are",
    "missing.parquet": "comparisons that are not here, with the reason",
    "latents/*/*.safetensors": "latents of the pictures in the generator's scaled space",
    "prompts/*.safetensors": "what the text encoders made of the prompts",
    "cache.json": "what made the cache, and the SHA-256 of every file",
}


@dataclass(frozen=True)
class DataSet:
    """What a card says of any data set: its name, what it is in a sentence, its counts, and the hub's licence id."""

    title: str
    about: str
    counts: Mapping[str, object]
    licence: str = UNKNOWN
    more: str = ""
    """Sections of its own, in Markdown."""


def comparisons_card(of: DataSet, file: str, columns: Sequence[str]) -> str:
    """The card of comparisons in a table called `file`, whose rows have a value in `columns`."""
    held = table(("column", "what it holds"), [_row("column", name, COLUMNS.get(name, "")) for name in columns])
    read = f'from dina_lrm import read_comparisons\n\ncomparisons = list(read_comparisons("{PLACE}/{file}"))'
    return _card(of, file, f"## Columns\n\n{held}", read)


def cache_card(of: DataSet) -> str:
    """The card of a cache folder."""
    held = table(("file", "what it holds"), [_row("file", name, what) for name, what in _CACHED.items()])
    load = f'from dina_lrm import EncodedComparisons\n\ndata = EncodedComparisons.load("{PLACE}")\nprint(len(data))'
    return _card(of, "pairs.parquet", f"## Files\n\n{held}", load)


def filters_table(rows: Sequence[tuple[str, int, int, Mapping[str, int]]]) -> str:
    """What filters removed, in a section of a card: name, seen, removed, and how often for which reason."""
    shown = [
        {"filter": name, "seen": f"{seen:,}", "removed": f"{removed:,}"}
        | {"why": ", ".join(f"{why} ({count:,})" for why, count in reasons.items())}
        for name, seen, removed, reasons in rows
    ]
    return f"## Filters\n\n{table(('filter', 'seen', 'removed', 'why'), shown)}\n\n"


def _card(of: DataSet, file: str, held: str, code: str) -> str:
    licence, _, name = of.licence.partition(" ")  # "other (NAME)"
    known: dict[str, Any] = {} if licence == UNKNOWN else {"license": licence}
    known |= {"license_name": name.strip("()")} if name else {}
    data = DatasetCardData(
        pretty_name=of.title,
        tags=["preference", "image-comparisons", "reward-model", "dina-lrm"],
        configs=[{"config_name": "default", "data_files": file}],
        **known,
    )
    facts = facts_table({**of.counts, "licence": of.licence, "library version": __version__})
    parts = [f"# {of.title}", of.about, facts, held, of.more, f"## Use\n\n{python(code)}", f"{SIGN} {__version__}."]
    return card_text(data, "\n\n".join(part.strip() for part in parts if part))


def _row(head: str, name: str, held: str) -> dict[str, object]:
    return {head: f"`{name}`", "what it holds": held}
