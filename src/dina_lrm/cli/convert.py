"""`dina-lrm convert`: the checkpoint folder released with the paper, into the folder this library writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.cli.common import CommonArguments, console
from dina_lrm.runs.places import check_new_folder


@dataclass
class Arguments(CommonArguments):
    """Turn a released checkpoint folder into a reward model folder of this library.

    Every tensor is checked against the generator, of which only the needed blocks are loaded.

    Example:
        dina-lrm convert DiNa-LRM-SD35M-12layers reward_model --backbone ~/models/stable-diffusion-3.5-medium
    """

    source: Positional[str]
    """What to read: a folder or a Hugging Face Hub id."""
    folder: Positional[Path]
    """What to write: a new folder."""
    backbone: str | None = None
    """Where the generator is, a folder or hub id, when it is not where the source says; the new folder remembers it."""

    def claims(self) -> Path:
        """Where the results go."""
        return self.folder


def run(arguments: Arguments) -> dict[str, object]:
    """Read, check, write; the result describes the model."""
    check_new_folder("FOLDER", arguments.folder)
    from dina_lrm.reward_model.model import LatentRewardModel

    place = arguments.backbone
    if place is not None and Path(place).expanduser().is_dir():
        place = str(Path(place).expanduser().resolve())
    # trainable: the LoRA stays apart from the weights it adapts, to be written as it was read
    model = LatentRewardModel.from_pretrained(arguments.source, backbone=place, device="cpu", trainable=True)
    model.save_pretrained(arguments.folder)
    console(arguments.quiet).print(f"{arguments.source} is now {arguments.folder}")
    return {"source": arguments.source, "folder": arguments.folder, "model": model.describe()}
