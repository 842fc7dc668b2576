"""How much memory is free for models: of the device, or of the machine as far as this process may use it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

_CGROUP: Final = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be taken on `device`; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "xpu":
        return int(torch.xpu.mem_get_info(device)[0])
    return _free_on_host()


def _free_on_host() -> int | None:
    free = [each for each in (_available(), _left_of_limit(_CGROUP)) if each is not None]
    return min(free, default=None)


def _available() -> int | None:
    """What Linux says could be taken without swapping."""
    file = Path("/proc/meminfo")
    if not file.is_file():
        return None
    lines = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None


def _left_of_limit(group: Path) -> int | None:
    """What a container's limit leaves; pages of files that were read do not count, as they can be let go."""
    try:
        limit, used = (group / "memory.max").read_text().strip(), int((group / "memory.current").read_text())
        lines = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    return max(0, int(limit) - used + int(lines.get("inactive_file", 0)) + int(lines.get("active_file", 0)))
