"""Options of `dina-lrm push`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import FlagCreatePairsOff, Positional

from dina_lrm.console.common import CommonArguments


@dataclass
class Arguments(CommonArguments):
    """Put a reward model, an aligned LoRA or a data set on the Hugging Face Hub, in a private repository.

    Only files that this program made go there; what else lies in the folder is named and left out.

    Examples:
        dina-lrm push runs/first/model OWNER/NAME --dry-run
        dina-lrm push runs/refl/lora OWNER/NAME --licence apache-2.0 --public
    """

    folder: Positional[Path]
    """What to send: the folder of a reward model, a LoRA, a synthetic set or a cache, or that of a run."""
    repository: Positional[str]
    """Where to: OWNER/NAME. It is made where it is not there."""
    dry_run: FlagCreatePairsOff[bool] = False
    """Say what would be sent, and send nothing; needs neither a token nor a network."""
    public: FlagCreatePairsOff[bool] = False
    """Let everybody read it."""
    licence: str | None = None
    """Its licence for the card, as the hub calls it, such as apache-2.0."""
    message: str = "Upload by dina-lrm"
    """Of the commit."""
