"""What Ray costs and gives: scoring by one process, by one worker of Ray and by two, in turn; and an empty task.

Seconds are those from the first batch to the last, without the loading of models. Two workers can be faster than one
only where two cores are free: the load is printed.

    python -m benchmarks many_machines --pictures 600 --rounds 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dina_lrm.engines.ray_pool import RayPool
from dina_lrm.engines.ray_session import session
from dina_lrm.engines.settings import RayEngine
from dina_lrm.rewards.scoring.files import score_files_by
from dina_lrm.rewards.scoring.rows import ScoreRow

_PROMPTS = [f"a {size} {colour} ring on white" for size in ("large", "small") for colour in ("red", "blue", "green")]
_TASKS = 2_000


class _Nothing:
    """What a worker holds that does nothing."""

    told: Mapping[str, object] = {}
    asks: Mapping[str, object] = {}

    def ready(self, task: int, common: None) -> int:
        return task

    def done(self, ready: int) -> int:
        return ready


def main(words: list[str]) -> None:
    """Measure, and print the medians with their ranges."""
    parser = argparse.ArgumentParser(prog="many_machines", description=__doc__)
    parser.add_argument("--pictures", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(words)
    engines = {"one process": None, "Ray, 1 worker": RayEngine(actors=1), "Ray, 2 workers": RayEngine(actors=2)}
    found: dict[str, list[float]] = {name: [] for name in engines}
    torch.set_num_threads(1)  # as each worker has
    with tempfile.TemporaryDirectory() as name, session(RayEngine(actors=2)):
        folder = Path(name)
        rows = _pictures(folder, given.pictures)
        for number in range(given.rounds):
            for label, engine in engines.items():
                out = folder / f"{number} {label}.csv"
                summary = score_files_by("synthetic", rows, out, device="cpu", engine=engine)
                found[label].append(given.pictures / summary.seconds)
        tables = {path.read_bytes() for path in folder.glob("*.csv")}
        empty = _empty()
    print(f"{given.pictures} pictures, {given.rounds} rounds; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for label, rates in found.items():
        ratios = [rate / one for rate, one in zip(rates, found["one process"], strict=True)]
        of_one = f"{statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
        print(f"{label}: {statistics.median(rates):.1f} pictures a second, {of_one} of one process")
    print(f"{len(tables)} kind of table; {1e3 * empty:.2f} ms an empty task")


def _pictures(folder: Path, count: int) -> list[ScoreRow]:
    draw = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return [ScoreRow(f"{n}.png", _PROMPTS[n % len(_PROMPTS)], folder / f"{n}.png") for n in range(count)]


def _empty() -> float:
    with RayPool(RayEngine(actors=1), _Nothing) as pool:
        start = time.perf_counter()
        assert sum(1 for _ in pool.each(range(_TASKS))) == _TASKS
        return (time.perf_counter() - start) / _TASKS
