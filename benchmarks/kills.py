"""Kill a command at every file operation below its output, start it again, and compare with an unkilled run.

An audit hook counts each opening for writing, renaming, removal and making of a folder below the working folder. One
run a place: the process is killed there (SIGKILL) before the operation, with the opened file emptied, or with
it half written. Then the same command is given again, with `--resume` where it has that: it must end well, leave the
same bytes as a run that nobody killed, and no temporary file.

Whatever one process has imported is shared: each run is a fork of it.

    python -m benchmarks kills
    python -m benchmarks.kills --commands score train --every 3 --json kills.json
    python -m benchmarks.kills --commands align --every 4 --begin 2      # the 2nd operation, the 6th, the 10th ...
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

MARKER = ".dina-lrm.json"
Mode = Literal["before", "emptied", "half"]
MODES: tuple[Mode, ...] = ("before", "emptied", "half")
TRAIN = "train synthetic --batch-size 4 --steps 4 --quiet --log.log-every 1 --log.checkpoint-every 2 --log.trackers"
RUN = (
    "--batch-size 2 --micro-batch 2 --ema-every 1 --steps 3 "
    "--looks.images 1 --looks.every 2 --looks.golden None --checkpoint-every 2 --quiet"
)
SAMPLED = f"--prompts prompts.txt --looks.prompts 2 {RUN}"
COMMANDS: dict[str, str] = {
    "generate": "synthetic generate --prompts 2 --images 2 --out out --quiet",
    "prepare": "prepare pairs/comparisons.jsonl --backbone synthetic --out out --quiet",
    "filter": "data filter pairs/comparisons.jsonl --out out.jsonl --drop-ties --quiet",
    "score": "score --images pairs/images --prompts prompt.txt --model synthetic --out out.csv --batch-size 2 --quiet",
    "score parquet": (
        "score --images pairs/images --prompts prompt.txt --model synthetic --out out.parquet --batch-size 2 --quiet"
    ),
    "evaluate": "evaluate synthetic sharpness --on pairs/comparisons.jsonl --levels 0.2 --out out --quiet",
    "calibrate": "calibrate model --on pairs/comparisons.jsonl --out out --quiet",
    "convert": "convert model out --quiet",
    "sample": "sample --prompts prompts.txt --n 2 --steps 2 --out out --quiet",
    "train": f"{TRAIN} --data cache --out out",
    "align": f"align refl synthetic {SAMPLED} --out out",
    "align nft": f"align nft synthetic {SAMPLED} --forward.group 2 --out out",
    "align pairs": f"align dpo synthetic --pairs pairs/comparisons.jsonl --looks.prompts 1 {RUN} --out out",
    "align cached pairs": f"align dpo synthetic --pairs cache --looks.prompts 1 {RUN} --out out",
}
"""By name; each is run in a folder of its own that holds what `_materials` makes."""
RESUMED = {name for name in COMMANDS if name.startswith(("train", "align"))}
SCORE_DIGITS = 0.02
"""Scores may differ by this where a processor's bfloat16 products do not repeat: there are such, without any kill."""
DRAWN = re.compile(r"(^|/)tensorboard/|\.(html|png)$")
"""Present on both sides, and not compared by its bytes: times stand in it."""
MEASURED = re.compile(r"seconds|per_second|memory")
"""Keys of JSON whose values are of the run and not of the result."""
LITTER = re.compile(r"(^|/)(\.dina-lrm\.\d|\..*\.tmp|.*\.tmp$|\.writing-|\..*\.lock$|.*\.partial($|[./])|\.out-)")


@dataclass
class Found:
    """What came of one command: kills by mode, and a sentence for each that did not end as it should."""

    operations: int = 0
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))
    began_again: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Killer:
    """An audit hook that ends the process at the `at`-th file operation below `place`; at None it only counts."""

    def __init__(self, place: Path, at: int | None, mode: Mode, log: Path) -> None:
        self._place, self._at, self._mode, self._log = os.path.realpath(place) + os.sep, at, mode, log
        self._count, self._half = 0, ""
        self._busy = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called by the interpreter before each audited operation."""
        if self._busy or event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"):
            return
        self._busy = True
        try:
            self._operation(event, arguments)
        finally:
            self._busy = False

    def _operation(self, event: str, arguments: tuple[Any, ...]) -> None:
        path = self._path(event, arguments)
        if self._half and (path == self._half or not path):
            self._kill_half()
        if not path:
            return
        if self._half:
            self._kill_half()
        self._count += 1
        if self._at is None:
            with open(self._log, "a") as log:
                log.write(f"{event} {path}\n")
        elif self._count == self._at:
            self._end(event, path, _appends(event, arguments))

    def _path(self, event: str, arguments: tuple[Any, ...]) -> str:
        """The path below the place that is about to change, or "" for another operation."""
        if not isinstance(arguments[0], str | bytes | os.PathLike):
            return ""
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            writes = any(letter in mode for letter in "wax+") if mode else bool(flags & (os.O_WRONLY | os.O_RDWR))
            if not writes:
                return ""
        path = os.path.realpath(os.path.dirname(os.path.abspath(os.fsdecode(arguments[0])))) + os.sep
        return path + os.path.basename(os.fsdecode(arguments[0])) if path.startswith(self._place) else ""

    def _end(self, event: str, path: str, appends: bool) -> None:
        if self._mode == "before" or event != "open":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._mode == "emptied":
            with open(path, "ab" if appends else "wb"):  # what was there before is not lost by appending
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        self._half = path

    def _kill_half(self) -> None:
        """The file was written in the meantime: half of it is lost, unless its writer had flushed it and let it go."""
        if _is_open(self._half) or ".tmp" in self._half:
            with open(self._half, "r+b") as file:
                file.truncate(os.path.getsize(self._half) // 2)
        os.kill(os.getpid(), signal.SIGKILL)


def _appends(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a file is opened to be written behind what it holds."""
    if event != "open":
        return False
    mode, flags = arguments[1], arguments[2]
    return "a" in mode if mode else bool(flags & os.O_APPEND)


def _is_open(path: str) -> bool:
    return any(os.path.realpath(f"/proc/self/fd/{name}") == path for name in os.listdir("/proc/self/fd"))


def forked(work: Callable[[], int], folder: Path, output: Path) -> int:
    """Exit code of `work` in a fork of this process, in `folder`, its output in a file."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 70
    try:
        os.chdir(folder)
        with open(output, "w") as file, redirect_stdout(file), redirect_stderr(file):
            try:
                code = work()
            except BaseException:
                traceback.print_exc(file=file)
    finally:
        os._exit(code)


def run(words: Sequence[str], folder: Path, output: Path, killer: Killer | None = None) -> int:
    """Exit code of a command; -9 when it was killed."""

    def work() -> int:
        from dina_lrm.cli.main import main

        if killer is not None:
            sys.addaudithook(killer)
        return main(list(words))

    return forked(work, folder, output)


def tree(folder: Path) -> dict[str, str]:
    """What every file of the outputs below `folder` holds, by its name, without what was measured."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name.startswith((".", "out")):
            found[name] = "drawn" if DRAWN.search(name) else _held(path)
    return found


def _held(path: Path) -> str:
    """The rows of a table of scores, and a hash of anything else."""
    if path.name == "out.csv":
        return "table\n" + path.read_text(errors="replace")
    if path.name == "out.parquet":
        return "table\n" + _parquet_text(path)
    return hashlib.sha256(_result_in(path)).hexdigest()


def _parquet_text(path: Path) -> str:
    import pyarrow.csv
    import pyarrow.parquet

    text = io.BytesIO()
    try:
        pyarrow.csv.write_csv(pyarrow.parquet.read_table(path), text)
    except (OSError, ValueError) as error:
        return f"torn: {error}"
    return text.getvalue().decode()


def _result_in(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix not in (".json", ".jsonl"):
        return content
    try:
        values = [json.loads(text) for text in (content.splitlines() if path.suffix == ".jsonl" else [content])]
    except ValueError:
        return content  # torn: it will differ
    if path.name == MARKER:  # its hashes are of files with times in them, which are compared themselves
        values = [{"kind": each["kind"], "files": sorted(each["files"])} for each in values]
    if path.parent.name == "parts":  # its hash is of a result with seconds in it, which is compared itself
        values = [{key: value for key, value in each.items() if key != "sha256"} for each in values]
    return json.dumps(_without_measured(values)).encode()


def _without_measured(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _without_measured(item) for key, item in value.items() if not MEASURED.search(key)}
    return [_without_measured(item) for item in value] if isinstance(value, list) else value


def judge(name: str, materials: Path, every: int, report: Callable[[str], None], begin: int = 1) -> Found:
    """Kill one command at every `every`-th operation from the `begin`-th on, in each mode."""
    found, start = Found(), time.perf_counter()
    words = COMMANDS[name].split()
    with tempfile.TemporaryDirectory() as scratch:
        place, output = Path(scratch) / "work", Path(scratch) / "output.txt"
        log = Path(scratch) / "operations.txt"
        shutil.copytree(materials, place)
        code = run(words, place, output, Killer(place, None, "before", log))
        if code:
            found.failures.append(f"without a kill it exits {code}: {_last(output)}")
            return found
        operations = log.read_text().splitlines()
        found.operations = len(operations)
        wanted = tree(place)
        for mode in MODES:
            for at in range(begin, len(operations) + 1, every):
                if mode != "before" and not operations[at - 1].startswith("open "):
                    continue
                shutil.rmtree(place)
                shutil.copytree(materials, place)
                told = f"{mode} {at}: {operations[at - 1].replace(os.path.realpath(place), '')}"
                killed = run(words, place, output, Killer(place, at, mode, log))
                if killed == -signal.SIGKILL:
                    found.kills[mode] += 1
                    if sum(found.kills.values()) % 20 == 0:
                        report(f"{name}: {found.kills} of {len(operations)} operations, {len(found.failures)} failures")
                fault = _again(name, words, place, output, wanted, found)
                if fault:
                    found.failures.append(f"{told}: {fault}")
                    report(f"{name}: {told}: {fault}")
    found.seconds = round(time.perf_counter() - start, 1)
    return found


def _again(
    name: str, words: Sequence[str], place: Path, output: Path, wanted: dict[str, str], found: Found
) -> str | None:
    """What is wrong after the command is given again, or None."""
    code = run(words, place, output)
    if code == 2 and name in RESUMED and "resume" in output.read_text():
        code = run([*words, "--resume"], place, output)
    elif code == 0:
        found.began_again += 1
    after = tree(place)
    if code == 2 and after == wanted:
        return None  # killed behind its last operation: the result is whole, and is not written over
    if code:
        return f"again: exits {code}: {_last(output)}"
    litter = [each for each in after if LITTER.search(each) and each not in wanted]
    if litter:
        return f"left {litter[0]}"
    differing = sorted(each for each in wanted.keys() | after.keys() if not _same(wanted.get(each), after.get(each)))
    if differing:
        first = differing[0]
        told = _difference(wanted.get(first, "absent"), after.get(first, "absent"))
        return f"{first} is not as without a kill ({len(differing)} files): {told}"
    return None


def _same(wanted: str | None, after: str | None) -> bool:
    if wanted == after:
        return True
    if wanted is None or after is None or not {wanted[:5], after[:5]} == {"table"}:
        return False
    lines = [text.splitlines() for text in (wanted, after)]
    if len(lines[0]) != len(lines[1]):
        return False
    rows = zip(*(csv.reader(each) for each in lines), strict=True)
    return all(len(a) == len(b) and all(map(_same_cell, a, b)) for a, b in rows)


def _same_cell(wanted: str, after: str) -> bool:
    try:
        return wanted == after or abs(float(wanted) - float(after)) <= SCORE_DIGITS
    except ValueError:
        return False


def _difference(wanted: str, after: str) -> str:
    """The first line in which two files differ, where their lines were kept."""
    pairs = zip(wanted.splitlines(), after.splitlines(), strict=False)
    return next((f"{b!r} instead of {a!r}" for a, b in pairs if a != b), f"{after:.80} instead of {wanted:.80}")


def _last(output: Path) -> str:
    lines = [line for line in output.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no output"


def make_materials(folder: Path) -> None:
    """What the commands read: pictures, comparisons, a cache, prompts, a model."""
    folder.mkdir()
    (folder / "prompts.txt").write_text(
        "a red ring on white\na blue bar on black\na red bar on black\na blue ring on white\n"
    )
    (folder / "prompt.txt").write_text("a red ring on white\n")
    for words in (
        "synthetic generate --prompts 3 --images 3 --out pairs --quiet",
        "prepare pairs/comparisons.jsonl --backbone synthetic --out cache --quiet",
    ):
        if run(words.split(), folder, folder / "log.txt"):
            raise RuntimeError(f"{words}: {_last(folder / 'log.txt')}")

    def save() -> int:
        from dina_lrm.reward_model.model import LatentRewardModel

        LatentRewardModel.from_pretrained("synthetic").save_pretrained("model")
        return 0

    if forked(save, folder, folder / "log.txt"):
        raise RuntimeError(f"the model: {_last(folder / 'log.txt')}")
    (folder / "log.txt").unlink()


def _import_all() -> None:
    """What every fork then has; no thread may run, and no file below an output may be open."""
    import matplotlib.pyplot  # noqa: F401
    import peft  # noqa: F401
    import torch
    from diffusers import StableDiffusion3Pipeline  # noqa: F401
    from transformers import CLIPTextModelWithProjection  # noqa: F401

    import dina_lrm.alignment.trainer
    import dina_lrm.cli.evaluate
    import dina_lrm.reports.alignment
    import dina_lrm.training.trainer  # noqa: F401

    torch.set_num_threads(1)


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run, print a table, and write the JSON; exits with 1 when anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--every", type=int, default=1, help="kill at every n-th operation")
    parser.add_argument("--begin", type=int, default=1, help="the first operation that is killed at")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _import_all()
    results: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as scratch:
        materials = Path(scratch) / "materials"
        make_materials(materials)
        for name in given.commands:
            said = lambda line: print(f"  {line}", flush=True)  # noqa: E731 - used once
            found = results[name] = judge(name, materials, given.every, said, given.begin)
            kills = ", ".join(f"{found.kills[mode]} {mode}" for mode in MODES)
            print(
                f"{name}: {found.operations} operations; kills: {kills}; {len(found.failures)} failures "
                f"({found.seconds:.0f} s)",
                flush=True,
            )
    told = {name: asdict(found) for name, found in results.items()}
    if given.json:
        given.json.write_text(json.dumps(told, indent=2) + "\n")
    return {"commands": told}


if __name__ == "__main__":
    failed = main()["commands"]
    assert isinstance(failed, dict)
    sys.exit(any(found["failures"] for found in failed.values()))
