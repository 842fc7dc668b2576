"""A process that runs one bad input after another: `python -m benchmarks.fuzzing.worker BED`, a JSON object a line.

Its memory is limited, so that an input that takes gigabytes is seen; its standard streams are files, so that what
libraries write past Python is seen too.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from benchmarks.fuzzing.cases import make
from benchmarks.fuzzing.judging import Ended, faults_of
from dina_lrm.cli.main import main

MEMORY = 3 * 2**30
"""Bytes of addresses beside those of the libraries."""


def serve(bed: Path) -> None:
    """Answer each line of standard input with what became of the input that it asks for."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    _warm_up()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    for line in sys.stdin:
        asked = json.loads(line)
        ended = run_one(bed, Path(asked["folder"]), asked["kind"], asked["number"], asked["seed"])
        answers.write(json.dumps(asdict(ended)) + "\n")
        answers.flush()


def _warm_up() -> None:
    import dina_lrm.reward_model.model  # noqa: F401 - the first input should not wait for it


def run_one(bed: Path, place: Path, kind: str, number: int, seed: int) -> Ended:
    """Make an input in `place`, run its command there, judge it; a faultless one leaves nothing behind."""
    case = make(kind, bed, place, random.Random(f"{seed} {number} {kind}"))
    began, home = time.perf_counter(), os.getcwd()
    os.chdir(place)
    try:
        code, out, err = _captured(list(case.words), place.with_name(f"{place.name}.streams"))
    finally:
        os.chdir(home)
    ended = Ended(number, kind, case.words, case.told, code, time.perf_counter() - began, error=err.strip()[-300:])
    ended.faults = faults_of(case, place, code, out, err)
    if not ended.faults:
        shutil.rmtree(place)
    return ended


def _captured(words: list[str], streams: Path) -> tuple[int | None, str, str]:
    """Exit code, standard output and standard error of a command, those of C libraries among them."""
    kept = os.dup(1), os.dup(2)
    sys.stdout.flush(), sys.stderr.flush()
    files = [streams.with_name(f"{streams.name}.{number}") for number in (1, 2)]
    try:
        for number, file in enumerate(files, start=1):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, number)
            os.close(descriptor)
        try:
            code: int | None = main(words)
        except BaseException:
            traceback.print_exc()
            code = None
        sys.stdout.flush(), sys.stderr.flush()
    finally:
        for number, descriptor in enumerate(kept, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
    out, err = (file.read_text(encoding="utf-8", errors="backslashreplace") for file in files)
    for file in files:
        file.unlink()
    return code, out, err


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
