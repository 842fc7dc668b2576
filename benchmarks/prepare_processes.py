"""What `prepare` takes with one process and with two, on pictures of the bundled world, alternating.

Wall time and processor seconds (of all processes) of each run, and how many times faster two are than one, with the
range over rounds. "shards" is the wall time from the first shard to the last, which leaves out that each process
imports and loads for itself. There is one thread for each process. Two processes need two free cores to show anything:
the load is printed.

    python -m benchmarks prepare_processes
    python -m benchmarks prepare_processes --prompts 100 --rounds 3 --side 128 --json processes.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

RUN = """
import sys
from pathlib import Path
from dina_lrm.data.encoding.prepared import prepare
from dina_lrm.data.named_source import NamedSource
if __name__ == "__main__":
    table, out, processes, side = sys.argv[1:]
    source = NamedSource("ours", Path(table))
    prepare(source, "synthetic", Path(out), processes=int(processes), resolution=int(side), shard_bytes=65536)
"""
"""Shards are small, so that there are many to share."""


def measured(table: Path, out: Path, processes: int, side: int) -> dict[str, float]:
    """One run in processes of its own: seconds of wall and of processor, and those from its first to its last shard."""
    begun, seconds = time.perf_counter(), dict[str, float]()
    run = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", RUN, str(table), str(out), str(processes), str(side)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": str(processes)},  # divided among them
        start_new_session=True,
    )
    while run.poll() is None:
        seconds |= spent(run.pid)
        time.sleep(0.1)
    if run.returncode:
        raise RuntimeError(f"prepare by {processes} processes ended with {run.returncode}")
    wall, processor = time.perf_counter() - begun, sum(seconds.values())
    written = sorted(path.stat().st_mtime for path in out.rglob("*.safetensors"))
    return {"wall": wall, "processor": processor, "shards": written[-1] - written[0], "files": float(len(written))}


def spent(session: int) -> dict[str, float]:
    """Seconds of processor of each process of a session, children of children too, as Linux tells them."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            told = path.read_text().rpartition(") ")[2].split()
            if int(told[3]) == session:
                found[path.parent.name] = (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Draw pictures, prepare them in turn by one and by two, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--images", type=int, default=8, help="of each prompt")
    parser.add_argument("--side", type=int, default=128, help="of the bucket in pixels: more is more work a picture")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        made = f"-m dina_lrm synthetic generate --prompts {given.prompts} --images {given.images} --out pairs --quiet"
        subprocess.run([sys.executable, *made.split()], cwd=place, check=True)
        table = place / "pairs" / "comparisons.jsonl"
        print(f"{given.prompts * given.images} pictures of {given.side} pixels; {os.cpu_count()} cores", flush=True)
        found = [
            {"processes": n, "load": os.getloadavg()[0], **measured(table, place / f"{r}-{n}", n, given.side)}
            for r in range(given.rounds)
            for n in ((1, 2) if r % 2 == 0 else (2, 1))
        ]
    said(found)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2))


def said(found: Sequence[dict[str, Any]]) -> None:
    """Print each run, and the ratio of the two of a round."""
    for run in found:
        print(", ".join(f"{name} {value:.1f}" for name, value in run.items()))
    rounds = [{run["processes"]: run for run in both} for both in list(pairwise(found))[::2]]
    for name in ("wall", "shards", "processor"):
        ratios = [runs[1][name] / runs[2][name] for runs in rounds]
        print(f"{name}: one / two = {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
