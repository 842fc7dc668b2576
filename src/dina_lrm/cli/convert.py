"""`dina-lrm convert`: a reward model of another format, into the folder this library writes."""

from __future__ import annotations

from pathlib import Path

from dina_lrm.cli.arguments.convert import Arguments
from dina_lrm.console.common import console
from dina_lrm.reward_model.formats.ours import convert


def run(arguments: Arguments) -> dict[str, object]:
    """Read, check, write; the result describes the model."""
    place = arguments.backbone
    if place is not None and Path(place).expanduser().is_dir():
        place = str(Path(place).expanduser().resolve())
    config = convert(arguments.source, arguments.folder, place)
    console(arguments.quiet).print(f"{arguments.source} is now {arguments.folder}")
    return {"source": arguments.source, "folder": arguments.folder, "model": config.to_dict()}
