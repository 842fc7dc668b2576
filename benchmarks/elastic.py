"""Runs that are killed and go on on another number of processes, compared with runs that nobody stopped.

A chain of launches in one folder: 1, 2, 4, 2, ... processes, each holding all weights (ddp) or sharing them (fsdp),
each killed outright (SIGKILL, all its processes) at a random moment, while a checkpoint is being written, or while the
run is being finished; then the next one goes on. Every process writes down which pairs it read at which step. What is
compared:

- the pairs of each step over all processes, by hash, with those of one process that never stopped;
- the losses and the weights at the end: to float tolerance where the number of processes changed, to the bit where it
  stayed the same.

The generator is the tiny one of the tests, the data random latents of three sizes; processes are forks of one that has
imported everything.

    python -m benchmarks elastic
    python -m benchmarks.elastic --kills 20 --json elastic.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dina_lrm.runs.files import append_text
from dina_lrm.training.batching import StepInputs, StepSource
from tests.training.launching import WAYS, free_port

Moment = Literal["any time", "writing a checkpoint", "at the end"]
MOMENTS: tuple[Moment, ...] = ("any time", "writing a checkpoint", "at the end")
WORLDS = (1, 2, 4)
EVERY = 2
"""Steps between two checkpoints."""
PACE = 4
"""Steps that a launch has before it is killed, at most."""


@dataclass(frozen=True)
class Launch:
    """Some processes that go on with a run up to `steps`."""

    world: int
    way: str
    steps: int


@dataclass
class Kill:
    """One launch, and where it was killed."""

    world: int
    way: str
    moment: Moment
    began_at: int
    """The step of the checkpoint that it went on from."""
    reached: int
    """The last step that it logged."""
    torn: bool
    """Whether it left a checkpoint that it was still writing."""


@dataclass
class Found:
    """What came of a chain."""

    kills: list[Kill] = field(default_factory=list)
    steps: int = 0
    batches: int = 0
    """(launch, step) of which all processes wrote down their pairs."""
    other_batches: int = 0
    loss_deviation: float = 0.0
    """The largest of a step's loss, relative to that of the run that nobody stopped."""
    weight_deviation: float = 0.0
    """The largest of the weights at the end, absolute."""
    equal_to_the_bit: bool = False


class WritingDown:
    """A source of steps that writes into a file which pairs were read."""

    def __init__(self, source: StepSource, file: Path) -> None:
        self._source, self._file = source, file

    def __call__(self, step: int) -> StepInputs:
        """The inputs of a step, whose pairs are written down."""
        inputs = self._source(step)
        names = [name for micro in inputs.micro_batches for name in micro.pair_names]
        append_text(self._file, json.dumps([step, names]) + "\n")
        return inputs

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the source has
        return getattr(self._source, name)


def compute(generator: Path, folder: Path, launch: Launch, number: int, rank: int, port: int) -> None:
    """What one process of a launch does."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(launch.world)} | WAYS[launch.way]
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": str(launch.world)}
    from dina_lrm.runs.lock import held_folder
    from dina_lrm.runs.processes import Processes
    from dina_lrm.training.randomness import private_global_generators
    from dina_lrm.training.trainer import Trainer
    from tests.training.launched_run import launched_plan

    plan = launched_plan(generator, folder, "sized", resume=(folder / "config.json").exists(), steps=launch.steps)
    processes = Processes()
    read = folder.parent / f"{folder.name}-read-{number}-{rank}.jsonl"
    with held_folder(folder, processes.main), private_global_generators(processes.device):
        trainer = Trainer(plan, processes)
        trainer.source = WritingDown(trainer.source, read)  # type: ignore[assignment]  # it is asked as that would be
        trainer.run()


def start(generator: Path, folder: Path, launch: Launch, number: int) -> list[int]:
    """Fork the processes of a launch."""
    port, children = free_port(), []
    for rank in range(launch.world):
        child = os.fork()
        if child:
            children.append(child)
            continue
        code = 70
        try:
            with open(folder.parent / f"{folder.name}-{number}-{rank}.txt", "w") as file:
                with redirect_stdout(file), redirect_stderr(file):
                    compute(generator, folder, launch, number, rank, port)
                    code = 0
        except BaseException:
            import traceback

            with open(folder.parent / f"{folder.name}-{number}-{rank}.txt", "a") as file:
                traceback.print_exc(file=file)
        finally:
            os._exit(code)
    return children


def end(children: Sequence[int], by: int = signal.SIGKILL) -> None:
    """Kill all that still run, and wait for them."""
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, by)
    for child in children:
        os.waitpid(child, 0)


def finish(children: Sequence[int], folder: Path) -> None:
    """Wait for a launch to end by itself. RuntimeError where it does not end well."""
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(codes):
        said = [path.read_text()[-1500:] for path in sorted(folder.parent.glob(f"{folder.name}-*.txt"))]
        raise RuntimeError(f"{folder}: ended with {codes}:\n" + "\n".join(said))


def killed(generator: Path, folder: Path, launch: Launch, number: int, moment: Moment, chance: random.Random) -> Kill:
    """Start a launch and kill it at that moment."""
    from dina_lrm.runs.checkpoints.stored import complete_checkpoints

    stored = complete_checkpoints(folder / "checkpoints")
    began = int(stored[-1].name.split("-")[1]) if stored else 0
    children = start(generator, folder, launch, number)
    met = _signs(folder, moment, min(launch.steps, began + chance.randint(1, PACE)), launch.steps)
    limit = time.monotonic() + 600
    while not met() and time.monotonic() < limit and _all_run(children):
        time.sleep(0.0005)
    time.sleep(chance.uniform(0, 0.05 if moment != "writing a checkpoint" else 0.004))
    end(children)
    torn = any(path.name.endswith(".tmp") for path in _entries(folder / "checkpoints"))
    return Kill(launch.world, launch.way, moment, began, _last_step(folder), torn)


def _signs(folder: Path, moment: Moment, step: int, last: int) -> Callable[[], bool]:
    """Whether the moment has come."""
    if moment == "any time":
        return lambda: _last_step(folder) >= step
    if moment == "writing a checkpoint":
        return lambda: any(path.name.endswith(".tmp") for path in _entries(folder / "checkpoints"))
    return lambda: _last_step(folder) >= last and (folder / "checkpoints" / f"step-{last}").exists()


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _all_run(children: Sequence[int]) -> bool:
    return all(os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None for child in children)


def losses(folder: Path) -> dict[int, float]:
    """The loss of each step that is logged."""
    from dina_lrm.runs.metrics import read_lines

    return {line["step"]: line["loss"] for line in read_lines(folder / "metrics.jsonl") if "loss" in line}


def _last_step(folder: Path) -> int:
    return max(losses(folder), default=0)


def batches(folder: Path, number: int, world: int) -> dict[int, str]:
    """A hash of the pairs that a launch read at each step, where all its processes wrote them down."""
    found: dict[int, list[list[str]]] = {}
    for rank in range(world):
        path = folder.parent / f"{folder.name}-read-{number}-{rank}.jsonl"
        for line in path.read_text().splitlines() if path.exists() else ():
            with suppress(ValueError):  # a line that the kill cut
                step, names = json.loads(line)
                found.setdefault(step, []).append(names)
    whole = {step: parts for step, parts in found.items() if len(parts) == world}
    return {step: _hash([name for part in parts for name in part]) for step, parts in whole.items()}


def _hash(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def chain(
    generator: Path, place: Path, launches: Sequence[tuple[int, str]], seed: int, told: Callable[[str], None]
) -> Found:
    """Launches one after the other in one folder, all killed; the last one is left to its end and compared."""
    chance, folder, found, number = random.Random(seed), place / "chain", Found(), 0
    place.mkdir(parents=True)
    moments = [MOMENTS[number % len(MOMENTS)] for number in range(len(launches))]
    chance.shuffle(moments)
    read: list[dict[int, str]] = []
    for number, ((world, way), moment) in enumerate(zip(launches, moments, strict=True)):
        ahead = _last_step(folder) + (2 if moment == "at the end" else 3 * PACE)
        kill = killed(generator, folder, Launch(world, way, ahead), number, moment, chance)
        found.kills.append(kill)
        read.append(batches(folder, number, world))
        told(
            f"{number + 1:2} {way:5} {world} processes, {moment}: went on from {kill.began_at}, reached {kill.reached}"
        )
    world, way = launches[0]
    found.steps = _last_step(folder) + 2
    number = len(launches)
    finish(start(generator, folder, Launch(world, way, found.steps), number), folder)
    read.append(batches(folder, number, world))
    same = len(set(launches)) == 1
    straight = place / "straight"
    finish(start(generator, straight, Launch(world if same else 1, way if same else "ddp", found.steps), 0), straight)
    _compare(found, folder, straight, read, batches(straight, 0, world if same else 1))
    return found


def _compare(
    found: Found, folder: Path, straight: Path, read: Sequence[dict[int, str]], wanted: dict[int, str]
) -> None:
    from dina_lrm.runs.checkpoints.stored import load_checkpoint

    for each in read:
        known = {step: told for step, told in each.items() if step in wanted}
        found.batches += len(known)
        found.other_batches += sum(wanted[step] != told for step, told in known.items())
    ours, theirs = losses(folder), losses(straight)
    if ours.keys() != theirs.keys():
        raise RuntimeError(f"steps differ: {sorted(ours.keys() ^ theirs.keys())}")
    found.loss_deviation = max(abs(ours[step] / theirs[step] - 1) for step in theirs)
    a, b = (load_checkpoint(each / "checkpoints" / f"step-{found.steps}").tensors for each in (folder, straight))
    pairs = [(a[group][name], b[group][name]) for group in b for name in b[group]]
    found.weight_deviation = max(float((one - other).abs().max()) for one, other in pairs if one.numel())
    found.equal_to_the_bit = ours == theirs and all(bool((one == other).all()) for one, other in pairs)


def table(found: dict[str, Found]) -> str:
    """The rows of the page."""
    rows = [
        "| processes | kills (any time, writing, at the end) | torn checkpoints left | batches compared, other | "
        "losses: largest relative deviation | weights: largest deviation |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in found.items():
        of = Counter(kill.moment for kill in each.kills)
        kills = f"{len(each.kills)} ({', '.join(str(of[moment]) for moment in MOMENTS)})"
        equal = "0, equal to the bit" if each.equal_to_the_bit else f"{each.loss_deviation:.1e}"
        rows.append(
            f"| {name} | {kills} | {sum(kill.torn for kill in each.kills)} | {each.batches}, {each.other_batches} | "
            f"{equal} | {each.weight_deviation:.1e} |"
        )
    return "\n".join(rows)


def main(words: Sequence[str]) -> None:
    """Run the chains and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of the chain whose number of processes changes")
    parser.add_argument("--same", type=int, default=4, help="kills of each chain whose number stays")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(words)
    import torch

    import dina_lrm.training.trainer  # noqa: F401 - what every fork then has
    import tests.training.launched_run  # noqa: F401
    from tests.tiny import saved_tiny_pipeline

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        generator = saved_tiny_pipeline(place / "generator")
        turns = [(WORLDS[n % 3] if n % 4 < 3 else 2, ("ddp", "fsdp")[(n + n // 4) % 2]) for n in range(arguments.kills)]
        chains = {
            "1, 2, 4 in turn, ddp and fsdp": turns,
            "2, ddp": [(2, "ddp")] * arguments.same,
            "2, fsdp": [(2, "fsdp")] * arguments.same,
            "1": [(1, "ddp")] * arguments.same,
        }
        found = {}
        for number, (name, launches) in enumerate(chains.items()):
            if launches:
                print(f"-- {name}", flush=True)
                found[name] = chain(
                    generator, place / str(number), launches, arguments.seed, lambda said: print(said, flush=True)
                )
    print(table(found))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({name: asdict(each) for name, each in found.items()}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
