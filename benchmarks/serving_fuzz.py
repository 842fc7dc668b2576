"""Malformed requests of every kind, by the thousand, to a real `dina-lrm serve --pickles`.

No answer may be a fault of the server, every error is a typed one of the documented codes, nothing hangs, and after
each hundred a good request in each format is answered right by a process that has not grown. Requests follow from
`--seed` and their number: one that fails is sent again by `python -m benchmarks.serving_fuzz --seed SEED --only N`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.serving_fuzzing import cases, schemas
from benchmarks.serving_fuzzing.good import Known, known
from benchmarks.serving_fuzzing.judging import documented, faults_of
from benchmarks.serving_fuzzing.requests import Case
from benchmarks.serving_fuzzing.sending import send

ROUND = 100
SLOWEST = 30.0
"""Seconds of an answer beyond which the server hangs; bodies have two seconds to arrive here."""
GROWTH = 1.1
"""The largest ratio of the median memory of the last tenth of the rounds to that of the tenth behind the first two.

Pictures of sixteen million pixels come and go, and a single round tells little."""
SETTINGS: dict[str, Any] = {
    "model": ["dina=synthetic", "sharp=sharpness"],
    "port": 0,
    "pickles": True,
    "limits": {"body_seconds": 2.0, "deadline": 20.0, "prompt_store_bytes": 16 << 20},
}


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process: int

    @property
    def memory(self) -> float:
        """Resident MiB."""
        pages = int(Path(f"/proc/{self.process}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    @property
    def files(self) -> int:
        """Open files and connections."""
        return len(os.listdir(f"/proc/{self.process}/fd"))


@dataclass
class Ended:
    """What became of a request."""

    number: int
    kind: str
    told: str
    status: int | None
    seconds: float
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Standing:
    """The server behind a round: its memory in MiB, its open files, and what was wrong with the good requests."""

    done: int
    memory: float
    files: int
    wrong: list[str]


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run, print the table by kind and status and every failure, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one request")
    parser.add_argument("--threads", type=int, default=4, help="requests that are under way at once")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    numbers = range(given.count) if given.only is None else (given.only,)
    with serving() as (server, log):
        ended, standings = run(server, numbers, given.seed, given.threads)
        tail = log.read_text(errors="replace")
    print(table(ended))
    faults = faults_at_end(standings, tail)
    print("".join(f"FAULT {fault}\n" for fault in faults), end="")
    found: dict[str, object] = {
        "seed": given.seed,
        "count": len(ended),
        "statuses": {kind: _statuses(ended, kind) for kind in dict.fromkeys(one.kind for one in ended)},
        "memory_mib": [round(standing.memory, 1) for standing in standings],
        "slowest_seconds": round(max(one.seconds for one in ended), 2),
        "failures": [asdict(one) for one in ended if one.faults],
        "faults": faults,
    }
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return found


@contextmanager
def serving(program: Path | None = None) -> Iterator[tuple[Server, Path]]:
    """A server in a process of its own, with the file of what it says; it must end with 0 at SIGTERM."""
    command = [str(program or Path(sys.executable).with_name("dina-lrm")), "serve", "--config"]
    with tempfile.TemporaryDirectory(prefix="dina-lrm-fuzz-") as temporary:
        config, log = Path(temporary) / "serve.yaml", Path(temporary) / "log"
        config.write_text(json.dumps(SETTINGS))  # which YAML reads too
        with log.open("w") as heard:
            process = subprocess.Popen([*command, str(config)], stdout=subprocess.PIPE, stderr=heard, text=True)
        with process:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if ready := re.search(r"ready at http://[^:]+:(\d+)", line):
                    break
            else:
                raise RuntimeError("".join(said) + log.read_text())
            try:
                yield Server(int(ready[1]), process.pid), log
            finally:
                process.send_signal(signal.SIGTERM)
                if process.wait(60) != 0:
                    raise RuntimeError(f"the server ended with {process.returncode}")


def run(
    server: Server, numbers: Sequence[int], seed: int, threads: int = 4, by_schema: int = 400
) -> tuple[list[Ended], list[Standing]]:
    """Send and judge the requests of these numbers, round by round, and look at the server behind each.

    `by_schema` is how many requests are made of the schema, from which those of its kind are drawn.
    """
    right, order, codes = known(), cases.order(), documented()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        schema = schemas.made(client.get("/openapi.json").json(), by_schema, seed)
    ended: list[Ended] = []
    standings: list[Standing] = []

    def one(number: int) -> Ended:
        kind = order[number % len(order)]
        case = cases.make(kind, right, random.Random(f"{seed} {number} {kind}"), schema)
        return _judged(number, kind, case, server, codes)

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(numbers), ROUND):
            for each in pool.map(one, numbers[start : start + ROUND]):
                ended.append(each)
                _tell(each, seed)
            standings.append(_standing(server, right, len(ended)))
            print(f"{len(ended)}/{len(numbers)}: {standings[-1].memory:.0f} MiB", file=sys.stderr, flush=True)
    return ended, standings


def _judged(number: int, kind: str, case: Case, server: Server, codes: dict[int, frozenset[str]]) -> Ended:
    try:
        answer = send(case, server.port)
    except OSError as error:
        return Ended(number, kind, case.told, None, 0.0, [f"the server cannot be reached: {error}"])
    return Ended(number, kind, case.told, answer.status, answer.seconds, faults_of(case, answer, codes, SLOWEST))


def _standing(server: Server, right: Known, done: int) -> Standing:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        wrong = right.wrong(client)
    return Standing(done, server.memory, server.files, wrong)


def faults_at_end(standings: Sequence[Standing], log: str) -> list[str]:
    """What is wrong with the server behind the rounds: good requests, memory, files, and what it wrote."""
    faults = [f"behind {one.done}: {wrong}" for one in standings for wrong in one.wrong]
    tenth = max(1, len(standings) // 10)
    begun, ended = standings[2 : 2 + tenth] or standings[-1:], standings[-tenth:]
    before, after = (median(one.memory for one in some) for some in (begun, ended))
    if after > GROWTH * before:
        faults.append(f"memory {before:.0f} MiB, at the end {after:.0f} MiB")
    first, last = begun[0], ended[-1]
    if last.files > first.files + 8:
        faults.append(f"{first.files} open files, at the end {last.files}")
    if "Traceback" in log:
        faults.append(f"the server wrote a traceback: {log[-1500:]}")
    return faults


def _statuses(ended: Sequence[Ended], kind: str) -> dict[str, int]:
    return dict(Counter(str(one.status or "none") for one in ended if one.kind == kind))


def table(ended: Sequence[Ended]) -> str:
    """Counts by kind and class of status, as text."""
    rows = [f"{'kind':<12}{'requests':>9}{'2xx':>7}{'4xx':>7}{'5xx':>7}{'no answer':>11}{'faults':>8}"]
    for kind in sorted({one.kind for one in ended}):
        of_kind = [one for one in ended if one.kind == kind]
        count = Counter(str(one.status or "none")[:1] for one in of_kind)
        wrong = sum(bool(one.faults) for one in of_kind)
        answered = f"{count['2']:>7}{count['4']:>7}{count['5']:>7}{count['n']:>11}"
        rows.append(f"{kind:<12}{len(of_kind):>9}{answered}{wrong:>8}")
    return "\n".join(rows)


def _tell(one: Ended, seed: int) -> None:
    if one.faults:
        print(
            f"{one.kind} {one.number} (seed {seed}), status {one.status}, {one.seconds:.1f} s: {one.told!a}", flush=True
        )
        print("".join(f"  FAULT {fault}\n" for fault in one.faults), end="", flush=True)


if __name__ == "__main__":
    found = main()
    sys.exit(1 if found["failures"] or found["faults"] else 0)
