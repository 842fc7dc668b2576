"""`dina-lrm annotate import` and `annotate export`: votes from and for other programs."""

from __future__ import annotations

from dina_lrm.cli.arguments.annotate_exchange import Export, Import
from dina_lrm.collecting.exchange.formats import export_file, import_file
from dina_lrm.console.common import console
from dina_lrm.data.votes.store import VoteStore


def bring(arguments: Import) -> dict[str, object]:
    """Import, and say what was left out."""
    with VoteStore.open(arguments.file) as store:
        given = (arguments.given, arguments.form, arguments.images, arguments.mapped(), arguments.question)
        found = import_file(store, *given)
    console(arguments.quiet).print(f"{arguments.given}: {found.told()}")
    return {
        "read": found.read,
        "recorded": found.recorded,
        "known": found.known,
        "left_out": dict(found.left_out),
    }


def write(arguments: Export) -> dict[str, object]:
    """Export, and say what was written."""
    with VoteStore.read(arguments.file) as store:
        told = export_file(store, arguments.out, arguments.form, arguments.question, arguments.weights)
    console(arguments.quiet).print(f"{arguments.out}: {told}")
    return {"out": arguments.out, "written": told}
