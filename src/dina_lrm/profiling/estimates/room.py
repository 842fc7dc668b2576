"""What is free: host memory as far as this process may use it, the device's, and a folder's disk."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from dina_lrm.backbones.free_memory import free_bytes
from dina_lrm.runs.places import nearest_existing


@dataclass(frozen=True)
class Room:
    """Bytes that are free; None where the system does not say."""

    memory: int | None
    """Where the job computes: of the device, or of this machine."""
    disk: int | None = None
    """Where results are written; a quota that the file system does not tell is not known."""

    def to_dict(self) -> dict[str, int | None]:
        """Plain values."""
        return asdict(self)


def free_room(device: torch.device | str, out: Path | None = None) -> Room:
    """What is free now on `device`, and on the disk of `out`, which need not exist."""
    disk = None if out is None else shutil.disk_usage(nearest_existing(out)).free
    return Room(free_bytes(torch.device(device)), disk)
