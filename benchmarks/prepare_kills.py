"""Kill `prepare` or `cache add` at random moments, give it again, and compare every byte with what nobody killed.

A run is killed at a moment drawn evenly between its first file and its end: all of its processes at once, as when a
machine stops; the one that was started alone; or, where several encode, one of those, which the others must make good
for. Then it is given again until it ends. Each run is a fork of this process, which has imported everything; writers
are processes that the run starts. What is added to has a third of the comparisons.

    python -m benchmarks prepare_kills
    python -m benchmarks prepare_kills --job add
    python -m benchmarks prepare_kills --kills 4 --processes 2 --json kills.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from dina_lrm.data.encoding.adding import add_comparisons
from dina_lrm.data.encoding.prepared import prepare
from dina_lrm.data.named_source import NamedSource
from dina_lrm.runs.workers import PIPELINES

KINDS = {1: ("all", "first"), 2: ("all", "first", "writer")}
"""Which processes are killed, where one or more encode."""
_PROMPTS, _IMAGES = 12, 4


@dataclass(frozen=True)
class Job:
    """What is killed: a cache is made of `table`, or the rest of `table` is added to a copy of `base`."""

    kind: Literal["prepare", "add"]
    table: Path
    base: Path

    def place(self, out: Path) -> None:
        """What is there before the first run."""
        if self.kind == "add":
            shutil.copytree(self.base, out)

    def partial(self, out: Path) -> Path:
        """The folder that shards are written into."""
        return out.with_name("out.partial" if self.kind == "prepare" else "out.added.partial")

    def run(self, out: Path, processes: int) -> None:
        """Do it, or go on with it."""
        source = NamedSource("ours", self.table)
        if self.kind == "prepare":
            prepare(source, "synthetic", out, batch_size=2, shard_bytes=4096, processes=processes)
        else:
            add_comparisons(out, source, shard_bytes=4096, processes=processes)


class Run:
    """A fork of this process that does a job, in a session of its own; what it prints is in log.txt."""

    def __init__(self, job: Job, out: Path, processes: int) -> None:
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            os.setsid()
            with (out.parent / "log.txt").open("w") as log, redirect_stdout(log), redirect_stderr(log):
                try:
                    job.run(out, processes)
                    code = 0
                except BaseException:
                    traceback.print_exc()
        finally:
            os._exit(code)

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self) -> int:
        """Its exit code."""
        while self.poll() is None:
            time.sleep(0.02)
        return int(self.code or 0)


def held(folder: Path) -> dict[str, str]:
    """A hash of every file of a cache."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def judged(job: Job, place: Path, wanted: dict[str, str], processes: int, kind: str, moment: float) -> dict[str, Any]:
    """Kill one run `moment` seconds after its folder is there, and give it again until it ends."""
    out = place / "out"
    job.place(out)
    run = Run(job, out, processes)
    hit = _killed(run, job.partial(out), kind, moment)
    code, runs = run.wait(), 1
    while code and runs < 4:
        code = Run(job, out, processes).wait()
        runs += 1
    same = out.is_dir() and held(out) == wanted
    told = "" if same else f"exit {code} after {runs} runs: {(place / 'log.txt').read_text()[-300:]}"
    left = [path.name for path in place.iterdir() if path.name not in ("out", "log.txt")]
    return {"kind": kind, "moment": round(moment, 2), "hit": hit, "runs": runs, "same": same and not left, "told": told}


def _killed(run: Run, partial: Path, kind: str, moment: float) -> bool:
    """Whether anything was killed: a run may have ended before its moment came."""
    while not partial.exists() and run.poll() is None:
        time.sleep(0.02)
    if kind == "writer":  # which of them there are is known when one has written something
        while not _writers(run, partial) and run.poll() is None:
            time.sleep(0.02)
        moment /= 20
    time.sleep(moment)
    if run.poll() is not None:
        return False
    with suppress(ProcessLookupError):
        if kind == "all":
            os.killpg(run.pid, signal.SIGKILL)
            return True
        if kind == "first":
            os.kill(run.pid, signal.SIGKILL)
            time.sleep(1)  # its writers see it, and end
            return True
        other = _writers(run, partial)
        if other:
            os.kill(random.choice(other), signal.SIGKILL)
        return bool(other)
    return False


def _writers(run: Run, partial: Path) -> list[int]:
    """The processes that have written something, but for the one that was started."""
    found = [int(path.stem.split("-")[1]) for path in (partial / "journal").glob("*.jsonl")]
    return [each for each in found if each != run.pid]


def measured(job: Job, place: Path, kills: int, processes: int, seed: int) -> list[dict[str, Any]]:
    """Kills of runs with so many processes, all in folders of their own."""
    place.mkdir()
    straight = place / "out"
    job.place(straight)
    run = Run(job, straight, processes)
    while not job.partial(straight).exists() and run.poll() is None:
        time.sleep(0.02)
    begun = time.perf_counter()
    if run.wait():
        raise RuntimeError((place / "log.txt").read_text())
    seconds, wanted = time.perf_counter() - begun, held(straight)
    draw, found = random.Random(seed), []
    for number in range(kills):
        kind = KINDS[min(processes, 2)][number % len(KINDS[min(processes, 2)])]
        trial = place / f"{number}"
        trial.mkdir()
        found.append(judged(job, trial, wanted, processes, kind, draw.uniform(0, seconds)))
        print(f"{processes} processes, kill {number + 1} of {kills}: {found[-1]}", flush=True)
        shutil.rmtree(trial)
    return found


def _begin(job: Job) -> None:
    """Make the cache that is added to."""
    lines = job.table.read_text().splitlines(keepends=True)
    third = job.table.with_name("third.jsonl")  # beside the pictures, which it names
    third.write_text("".join(lines[: len(lines) // 3]))
    if Run(Job("prepare", third, job.base), job.base, processes=1).wait():
        raise RuntimeError((job.base.parent / "log.txt").read_text())


def main(words: Sequence[str] | None = None) -> None:
    """Kill, and say how many caches were the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", choices=("prepare", "add"), default="prepare")
    parser.add_argument("--kills", type=int, default=20, help="of each number of processes")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(words)
    for name in PIPELINES:
        import_module(name)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        made = f"-m dina_lrm synthetic generate --prompts {_PROMPTS} --images {_IMAGES} --out pairs --quiet"
        subprocess.run([sys.executable, *made.split()], cwd=place, check=True)
        job = Job(given.job, place / "pairs" / "comparisons.jsonl", place / "base")
        if job.kind == "add":
            _begin(job)
        found = {n: measured(job, place / f"with-{n}", given.kills, n, given.seed) for n in given.processes}
    for processes, trials in found.items():
        same, hit = (sum(trial[name] for trial in trials) for name in ("same", "hit"))
        print(f"{processes} processes: {same} of {len(trials)} the same to the byte; {hit} were hit before they ended")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2))
    sys.exit(any(not trial["same"] for trials in found.values() for trial in trials))


if __name__ == "__main__":
    main()
