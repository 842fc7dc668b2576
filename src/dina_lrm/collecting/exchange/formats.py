"""The formats by name: how each is read into a store, and how a store is written in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from dina_lrm.collecting.exchange import arena, argilla, comparisons, folder, label_studio, page
from dina_lrm.collecting.exchange.given import GivenVote, Imported, LeftOut, import_votes
from dina_lrm.collecting.exchange.names import READS, WRITES
from dina_lrm.data.votes.store import VoteStore
from dina_lrm.typed import DinaError


def import_file(
    store: VoteStore,
    path: Path,
    form: str,
    images: Path | None = None,
    columns: Mapping[str, str] | None = None,
    question: str | None = None,
) -> Imported:
    """Bring the votes of a file in a format of `READS` into a store; a second time changes nothing.

    Raises DinaError for a format that there is none of, columns where the format knows its own, and as its reader.
    """
    return import_votes(store, _given(path, form, images, columns), form, question)


def export_file(store: VoteStore, path: Path, form: str, question: str | None = None, weights: str = "trust") -> str:
    """Write a store in a format of `WRITES`; returns a sentence on what was written.

    Raises DinaError for a format or question that there is none of.
    """
    asked = [one.id for one in store.settings.questions]
    chosen = question or asked[0]
    if chosen not in asked:
        raise DinaError(f"question {chosen!r:.80}; accepted: {', '.join(asked)}")
    if form == "comparisons":
        return comparisons.write(store, chosen, path, weights).told()
    if form == "folder":
        return folder.write(store, chosen, path, weights).told()
    writers = {"label-studio": label_studio.write, "argilla": argilla.write}
    if form not in writers:
        raise DinaError(f"format {form!r:.60}; accepted: {', '.join(WRITES)}")
    return f"{writers[form](store, chosen, path)} votes on {len(store.pairs())} pairs"


def _given(
    path: Path, form: str, images: Path | None, columns: Mapping[str, str] | None
) -> Iterator[GivenVote | LeftOut]:
    if form == "arena":
        return arena.read(path, images, columns)
    if columns is not None:
        raise DinaError(f"columns: {form} knows its own; accepted with arena")
    readers = {
        "label-studio": label_studio.read,
        "argilla": argilla.read,
        "comparisons": comparisons.read,
        "page": page.read,
    }
    if form not in readers:
        raise DinaError(f"format {form!r:.60}; accepted: {', '.join(READS)}")
    return readers[form](path, images)
