"""The options of `dina-lrm convert`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.common import CommonArguments
from dina_lrm.runs.places import check_new_folder


@dataclass
class Arguments(CommonArguments):
    """Turn a released checkpoint folder into a reward model folder of this library.

    The generator is not needed: that its weights are those which the model was trained on is seen when the model is
    loaded.

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

    def check(self) -> None:
        """Refuse a folder that exists or cannot be written."""
        check_new_folder("FOLDER", self.folder)
