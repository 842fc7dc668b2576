"""How long commands take to begin: processor seconds of whole processes, in turn, beside one that imports torch.

A cold start is mostly the import of libraries, so that each job is an interpreter of its own. Processor seconds (user
and system) are little blurred by a busy machine, but not untouched: the load is printed too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

HELP = ("score", "prepare", "train", "evaluate", "align", "serve")


def main(words: list[str]) -> None:
    """Run each job in turn, and say the medians."""
    parser = argparse.ArgumentParser(prog="start_up", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(words).rounds
    with tempfile.TemporaryDirectory() as folder:
        jobs, place = _jobs(Path(folder)), Path(folder)
        found: dict[str, list[float]] = {name: [] for name in jobs}
        for number in range(rounds):
            for name, job in jobs.items():
                found[name].append(cpu_seconds([*job, *_out(name, place, number)]))
    torch = statistics.median(found["import torch"])
    print(f"{rounds} rounds; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("job | CPU seconds, median (range) | beyond importing torch")
    for name, seconds in found.items():
        median = statistics.median(seconds)
        print(f"{name} | {median:.2f} ({min(seconds):.2f}-{max(seconds):.2f}) | {max(0.0, median - torch):.2f}")


def cpu_seconds(command: Sequence[str]) -> float:
    """User and system seconds of a process and of what it started; CalledProcessError where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=told)
    return usage.ru_utime + usage.ru_stime


def _jobs(folder: Path) -> Mapping[str, Sequence[str]]:
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{number}.png")
    program = [sys.executable, "-m", "dina_lrm"]
    scored = [*program, "score", "--images", str(pictures), "--prompts", "a red cube", "--model", "synthetic"]
    return {
        "import torch": [sys.executable, "-c", "import torch"],
        "import diffusers' pipeline": [sys.executable, "-c", "from diffusers import StableDiffusion3Pipeline"],
        **{f"{name} --help": [*program, name, "--help"] for name in HELP},
        "score, three pictures": scored,
        "score, three pictures, a page": scored,
    }


def _out(name: str, folder: Path, number: int) -> list[str]:
    """Where a job writes: another place each time, for what is there is not made again."""
    if not name.startswith("score,"):
        return []
    page = ["--html", str(folder / f"{number}.html")] if name.endswith("a page") else []
    return ["--out", str(folder / f"{number}{len(page)}.csv"), *page]


if __name__ == "__main__":
    main(sys.argv[1:])
