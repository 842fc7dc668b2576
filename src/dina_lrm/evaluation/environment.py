"""Where a number was measured: versions, machine, command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib import metadata
from pathlib import Path

import torch

from dina_lrm.rewards.addresses import without_passwords_in

_PACKAGES = ("dina-lrm", "torch", "diffusers", "transformers", "peft", "numpy", "scipy")


def environment() -> dict[str, str]:
    """Versions of what decides a score, the device and the number of threads."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if "dina-lrm" not in found:  # used from a source tree that is on the path but not installed
        from dina_lrm import __version__

        found["dina-lrm"] = __version__
    found["platform"] = f"{platform.system()} {platform.machine()}"
    found["cpu cores"] = str(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count())
    found["torch threads"] = str(torch.get_num_threads())
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def command_line() -> str:
    """The command of this process as it can be typed again, without passwords of `remote:` addresses."""
    program = Path(sys.argv[0]).name
    called = ["dina-lrm"] if program == "__main__.py" else [program]
    return without_passwords_in(shlex.join([*called, *sys.argv[1:]]))
