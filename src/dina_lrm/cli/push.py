"""`dina-lrm push`: what this program made, to the Hugging Face Hub."""

from __future__ import annotations

from dina_lrm.cli.arguments.push import Arguments
from dina_lrm.console.common import console
from dina_lrm.publishing.contents import upload_of
from dina_lrm.publishing.push import Publication, push


def run(arguments: Arguments) -> dict[str, object]:
    """Show what goes and what stays; send it, unless it is a rehearsal."""
    to = Publication(arguments.repository, arguments.public, arguments.licence, arguments.message)
    upload, shown = upload_of(arguments.folder), console(arguments.quiet)
    to.card(upload)
    for line in upload.lines():
        shown.print(line)
    address = None if arguments.dry_run else push(upload, to)
    goes = f"{'would go' if arguments.dry_run else 'went'} to {'public' if to.public else 'private'} {to.repository}"
    shown.print(f"{len(upload.files)} files, {upload.bytes:,} bytes {goes}{f': {address}' if address else ''}")
    return {"repository": to.repository, "public": to.public, "address": address, **upload.to_dict()}
