"""Bad inputs of every kind, by the thousand: options, names, tables, prompts, pictures, models, LoRAs, caches, runs.

Every command must end with exit code 0, 1 or 2 and, unless with 0, with one line that says what is wrong with which
file; without a traceback, words of C++, litter or gigabytes; and what is accepted must give the result that the changed
input honestly means. Inputs follow from `--seed` and their number alone: one that fails is made again by
`python -m benchmarks.fuzz --seed SEED --only NUMBER --kind KIND --keep FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.fuzzing import seedbed
from benchmarks.fuzzing.cases import KINDS, make
from benchmarks.fuzzing.judging import Ended

SECONDS = 120
"""A command that takes longer has hung."""


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run, print the table by kind and outcome and every failure, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="only of this kind; may be repeated")
    parser.add_argument("--only", type=int, help="the number of one input")
    parser.add_argument("--keep", type=Path, help="keep the inputs that failed in this folder")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    kinds = given.kind or list(KINDS)
    numbers = range(given.count) if given.only is None else (given.only,)
    with tempfile.TemporaryDirectory(prefix="dina-lrm-fuzz-") as temporary:
        place = (given.keep or Path(temporary)).absolute()
        ended = []
        for one in run(place, [(number, kinds[number % len(kinds)]) for number in numbers], given.seed):
            ended.append(one)
            _tell(one, len(ended), len(numbers), given.seed)
    print(table(ended))
    found: dict[str, object] = {
        "seed": given.seed,
        "count": len(ended),
        "outcomes": {kind: dict(Counter(one.outcome for one in ended if one.kind == kind)) for kind in kinds},
        "failures": [asdict(one) for one in ended if one.faults],
    }
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return found


def run(
    place: Path, asked: Sequence[tuple[int, str]], seed: int, python: Path = Path(sys.executable)
) -> Iterator[Ended]:
    """Make and judge inputs of these numbers and kinds in `place`, one after the other, by processes of `python`."""
    bed = place / "bed"
    if not bed.exists():
        seedbed.build(bed)
    worker: _Worker | None = None
    for number, kind in asked:
        worker = worker if worker is not None and worker.alive else _Worker(bed, python)
        yield worker.run(place / f"{kind}-{number}", kind, number, seed)
    if worker is not None:
        worker.stop()


class _Worker:
    """A process that runs inputs, ended when one of them hangs."""

    def __init__(self, bed: Path, python: Path) -> None:
        self._bed = bed
        command = [python, "-m", "benchmarks.fuzzing.worker", str(bed)]
        root = Path(__file__).parents[1]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root, text=True)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def run(self, folder: Path, kind: str, number: int, seed: int) -> Ended:
        assert self._process.stdin is not None and self._process.stdout is not None
        began = time.perf_counter()
        asked = {"folder": str(folder), "kind": kind, "number": number, "seed": seed}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if line:
            return Ended(**json.loads(line))
        fault = f"it took more than {SECONDS} s" if not ready else "the process died"
        self.stop()
        rng = random.Random(f"{seed} {number} {kind}")
        again = make(kind, self._bed, folder.with_name(f"{folder.name}-again"), rng)
        return Ended(number, kind, again.words, again.told, None, time.perf_counter() - began, [fault])

    def stop(self) -> None:
        self._process.kill()
        with self._process:  # closes its pipes, and waits
            pass


def table(ended: Sequence[Ended]) -> str:
    """Counts by kind and outcome, as text."""
    rows = [f"{'kind':<10}{'inputs':>8}{'done':>8}{'failed':>8}{'refused':>9}{'faults':>8}"]
    for kind in dict.fromkeys(one.kind for one in ended):
        of_kind = [one for one in ended if one.kind == kind]
        count = Counter(one.outcome for one in of_kind)
        wrong = sum(bool(one.faults) for one in of_kind)
        rows.append(f"{kind:<10}{len(of_kind):>8}{count['done']:>8}{count['failed']:>8}{count['refused']:>9}{wrong:>8}")
    return "\n".join(rows)


def _tell(one: Ended, done: int, total: int, seed: int) -> None:
    if one.faults:
        command = " ".join(ascii(word)[1:-1] if word.isprintable() and word else ascii(word) for word in one.words)
        print(f"{one.kind} {one.number} (seed {seed}): dina-lrm {command}\n  {one.told}", flush=True)
        print("".join(f"  FAULT {fault}\n" for fault in one.faults), end="", flush=True)
    if done % 50 == 0 or done == total:
        print(f"{done}/{total}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(1 if main()["failures"] else 0)
