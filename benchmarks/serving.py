"""A real server under load from another process: right answers, batching, bytes, memory, and how it starts.

load      252 requests at once, from 1 and from 4 event loops: latency, time in the queue, differences from local scores
slow      the same for a reward that takes 0.3 s a batch
batching  requests a second in batches of 8 against one at a time, in turns
bytes     what a step of 252 requests and 14 prompts sends, prompts by hash against prompts each time
memory    10,000 requests of mixed kinds and shapes: resident memory of the server over time, and wrong answers
start     seconds from start to ready beyond torch's import, and memory when idle

python -m benchmarks serving
python -m benchmarks.serving --quick
python -m benchmarks.serving --parts batching --rounds 9 --json serving.json
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.load import wire
from benchmarks.load.clients import Load, ask_all
from benchmarks.load.questions import LEVEL, Question, Questioner
from benchmarks.load.server import Server, serving
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.remote.reward import RemoteReward

BATCH = 8
LOOPS = (1, 4)
PROMPTS = 14
MANY = ("--max-batch-size", str(BATCH))
SHELF = ("--limits.prompt-store-bytes", str(1 << 19))
"""So small that prompts have gone, and are sent anew, long before the memory is compared."""


@dataclass(frozen=True)
class Sizes:
    """How much is asked."""

    requests: int = 252
    runs: int = 3
    rounds: int = 5
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    batching_requests: int = 126
    batch_seconds: float = 0.3
    mixed: int = 10_000
    distinct: int = 300
    starts: int = 5


QUICK = Sizes(24, 1, 1, (1, 8), batching_requests=16, batch_seconds=0.05, mixed=40, distinct=6, starts=1)


class Asker:
    """The sizes, the model beside the servers, and the servers: each is there once, from where it is first needed."""

    def __init__(self, sizes: Sizes, servers: ExitStack) -> None:
        self.sizes, self._servers = sizes, servers
        self._running: dict[tuple[str, ...], Server] = {}

    def server(self, *words: str, **environment: str) -> Server:
        """The server with these options: that which runs already, or a new one, until all is done."""
        if words not in self._running:
            self._running[words] = self._servers.enter_context(serving(*words, environment=environment))
        return self._running[words]

    @cached_property
    def model(self) -> LatentRewardModel:
        """The bundled model, in this process."""
        return LatentRewardModel.from_pretrained("synthetic", device="cpu")

    def step(self, requests: int) -> list[Question]:
        """The requests of a training step."""
        return Questioner(self.model).step(requests, PROMPTS)


def load(asker: Asker) -> dict[str, Any]:
    """A step at once, from one event loop and from several."""
    step, found = asker.step(asker.sizes.requests), {}
    server = asker.server(*MANY)
    ask_all(server.address, step[:BATCH])
    for loops in LOOPS:
        ask = partial(ask_all, server.address, step, loops=loops)
        found[f"{loops} loops"] = _counted(server, ask, asker.sizes.runs)
    return found


def slow(asker: Asker) -> dict[str, Any]:
    """A step at once to a reward that sleeps: what is measured is the waiting alone."""
    pictures = Questioner(asker.model).grey_pictures(asker.sizes.requests)
    environment = {"SLOW_REWARD_SECONDS": str(asker.sizes.batch_seconds), "PYTHONPATH": _with_here()}
    server = asker.server("--model", "dina=python:benchmarks.load.slow.slow", **environment)
    return {
        f"{loops} loops": _counted(server, partial(ask_all, server.address, pictures, loops=loops), 1)
        for loops in LOOPS
    }


def batching(asker: Asker) -> dict[str, Any]:
    """Requests a second, and processor time of the server a request, of several ways that take turns."""
    step, sizes = asker.step(asker.sizes.batching_requests), asker.sizes
    servers = {size: asker.server("--max-batch-size", str(size)) for size in sizes.batches}
    ways: dict[str, Callable[..., tuple[float, float]]] = {
        f"batches of {size}": partial(_timed, server) for size, server in servers.items()
    }
    ways["one by one"] = partial(_timed, servers[1], at_once=1)
    for way in ways.values():
        way(step[:BATCH])
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(sizes.rounds):
        for name, way in ways.items():
            rows[name].append(way(step))
        _progress("batching", number + 1, sizes.rounds)
    return {"requests a second": _rates(rows), **_ratios(rows, "batches of 1"), **_ratios(rows, "one by one")}


def _rates(rows: Mapping[str, list[tuple[float, float]]]) -> dict[str, Any]:
    return {name: _spread([rate for rate, _ in each]) for name, each in rows.items()}


def _ratios(rows: Mapping[str, list[tuple[float, float]]], plain: str) -> dict[str, Any]:
    """Of batches to another way, round by round: in requests a second, and in processor time of the server."""
    pairs = [*zip(rows[f"batches of {BATCH}"], rows[plain], strict=True)]
    return {
        f"times {plain}": _spread([fast / slow for (fast, _), (slow, _) in pairs]),
        f"times {plain}, in processor time": _spread([slow / fast for (_, fast), (_, slow) in pairs]),
    }


def bytes_sent(asker: Asker) -> dict[str, Any]:
    """Bytes of a step, by prompts in each request and by hash; `again` is a second step of the same prompts."""
    sizes, questioner = asker.sizes, Questioner(asker.model)
    first = questioner.step(sizes.requests, PROMPTS)
    second = Questioner(asker.model).step_by_hash(sizes.requests, PROMPTS)
    found: dict[str, Any] = {}
    server = asker.server(*MANY)
    for name, step in (("protocol_1", first), ("protocol_2", second), ("again", second)):
        with wire.relaying(server.address) as relay:
            ran = ask_all(relay.address, step, at_once=1)  # at once, several would send the same new prompt
            found[name], found[f"{name}_wrong"] = relay.sent, len(ran.wrong)
    found |= _sent_by_our_client(asker, server)
    full = {str(dtype).removeprefix("torch."): wire.full_size(dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    return {name: _with_saving(step) for name, step in {"bundled, on the wire": found, **full}.items()}


def _sent_by_our_client(asker: Asker, server: Server) -> dict[str, Any]:
    """Bytes of two steps as the reward `remote:` sends them, in one call each, and its largest difference."""
    items = asker.sizes.requests
    questioner = Questioner(asker.model, seed=3)
    told = Conditioning.cat([questioner.told[number * PROMPTS // items] for number in range(items)])
    found: dict[str, Any] = {"our_client_difference": 0.0}
    with wire.relaying(server.address) as relay:
        reward = RemoteReward(relay.address, noise_level=LEVEL)
        for name in ("our_client", "our_client_again"):
            before, x = relay.sent, questioner.latents(count=items)
            scores, wanted = reward.score(x, told), asker.model.score_latents(x, told, LEVEL).detach()
            found[name] = relay.sent - before
            off = float((scores - wanted).abs().max())
            found["our_client_difference"] = max(found["our_client_difference"], off)
    return found


def memory(asker: Asker) -> dict[str, Any]:
    """Mixed questions in random order: the server's memory by what it has answered, and what was wrong."""
    sizes = asker.sizes
    questions = Questioner(asker.model, seed=1).mixed(
        sizes.distinct, lambda done: _progress("right scores", done, sizes.distinct)
    )
    order = np.random.default_rng(2).integers(len(questions), size=sizes.mixed)
    series: list[tuple[int, float]] = []
    every = max(1, sizes.mixed // 500)
    server = asker.server(*MANY, *(SHELF if sizes.mixed >= 1000 else ()))

    def told(done: int) -> None:
        if done % every == 0:
            series.append((done, server.resident()))
            _progress(f"memory, {series[-1][1]:.0f} MiB", done, sizes.mixed)

    asked = [questions[number] for number in order]
    ran = ask_all(server.address, asked, loops=2, at_once=24, told=told)
    thousand = sizes.mixed // 10
    second = _mean([mib for done, mib in series if thousand < done <= 2 * thousand])
    last = _mean([mib for done, mib in series if done > sizes.mixed - thousand])
    return {
        **ran.summary(),
        "distinct": len(questions),
        "kinds": {kind: sum(each.kind == kind for each in asked) for kind in sorted({q.kind for q in questions})},
        "second_tenth_mib": second,
        "last_tenth_mib": last,
        "growth": last / second - 1,
        "series_mib": series[:: max(1, len(series) // 50)],
        "failures": [f"{asked[answer.number].kind}: {answer.told or answer.off}" for answer in ran.wrong[:10]],
    }


def start(asker: Asker) -> dict[str, Any]:
    """Seconds from start to ready, less those that importing torch alone takes, and memory before any request.

    Processor seconds beside those on the wall: a busy machine does not stretch them.
    """
    rows: dict[str, list[float]] = {name: [] for name in ("torch", "beyond_torch", "torch_cpu", "beyond_torch_cpu")}
    resident = []
    for number in range(asker.sizes.starts):
        wall, cpu = _seconds_of([sys.executable, "-c", "import torch"])
        with serving() as server:
            found = (wall, server.seconds - wall, cpu, server.cpu_seconds() - cpu)
            time.sleep(1)
            resident.append(server.resident())
        for row, value in zip(rows.values(), found, strict=True):
            row.append(value)
        _progress("start", number + 1, asker.sizes.starts)
    return {"idle_mib": _spread(resident), **{f"{name}_seconds": _spread(row) for name, row in rows.items()}}


PARTS: dict[str, Callable[[Asker], dict[str, Any]]] = {
    "load": load,
    "slow": slow,
    "batching": batching,
    "bytes": bytes_sent,
    "memory": memory,
    "start": start,
}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=[*PARTS], default=[*PARTS], metavar="PART")
    parser.add_argument("--quick", action="store_true", help="small numbers of everything, to see that it runs")
    parser.add_argument("--rounds", type=int, help="rounds of batching")
    parser.add_argument("--mixed", type=int, help="requests of memory")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    own = {"rounds": given.rounds, "mixed": given.mixed}
    base = QUICK if given.quick else Sizes()
    sizes = replace(base, **{name: value for name, value in own.items() if value is not None})
    found: dict[str, Any] = {"machine": _machine()}
    with ExitStack() as servers:
        asker = Asker(sizes, servers)
        for name in given.parts:
            before, begun = os.getloadavg()[0], time.perf_counter()
            found[name] = {**PARTS[name](asker), "load_average_before": before}
            print(f"{name} ({time.perf_counter() - begun:.0f} s, load average before: {before:.1f})", flush=True)
            print("\n".join(f"  {line}" for line in _lines(found[name])), flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return found


def _counted(server: Server, ask: Callable[[], Load], runs: int) -> dict[str, Any]:
    """What came of some runs, their answers together."""
    before, items = server.cpu_seconds(), server.items()
    ran = [ask() for _ in range(runs)]
    spent = server.cpu_seconds() - before
    together = Load(
        tuple(answer for run in ran for answer in run.answers),
        sum(run.seconds for run in ran),
        sum(run.asked for run in ran),
    )
    return {
        **together.summary(),
        "answered_once": all(run.once for run in ran),
        "scored": server.items() - items,
        "requests_per_second": _spread([run.rate for run in ran]),
        "server_cpu_ms_a_request": 1000 * spent / together.asked,
    }


def _timed(server: Server, step: Sequence[Question], at_once: int = 1 << 20) -> tuple[float, float]:
    """Requests a second, and the server's processor seconds a request. RuntimeError for a wrong answer."""
    before = server.cpu_seconds()
    ran = ask_all(server.address, step, at_once=at_once)
    if ran.wrong:
        raise RuntimeError(f"a wrong answer: {ran.wrong[0]}")
    return ran.rate, (server.cpu_seconds() - before) / ran.asked


def _with_saving(step: dict[str, int]) -> dict[str, Any]:
    saved = 1 - step["protocol_2"] / step["protocol_1"]
    return {**step, "saved": saved, "saved_again": 1 - step["again"] / step["protocol_1"]}


def _spread(values: Sequence[float]) -> dict[str, float]:
    found = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return {**found, "n": len(values)}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _seconds_of(command: list[str]) -> tuple[float, float]:
    """How long a command takes, on the wall and in processor time."""
    begun, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, timeout=120)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - begun, spent


def _with_here() -> str:
    return os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))


def _machine() -> dict[str, Any]:
    threads = os.environ.get("OMP_NUM_THREADS", "as many as cores")
    return {"cores": os.cpu_count(), "threads": threads, "torch": torch.__version__, "python": sys.version.split()[0]}


def _progress(what: str, done: int, total: int) -> None:
    if done == total or done % max(1, total // 20) == 0:
        print(f"{what}: {done}/{total}", file=sys.stderr, flush=True)


def _lines(found: dict[str, Any], name: str = "") -> list[str]:
    lines = []
    for key, value in found.items():
        place = f"{name}{key}"
        if isinstance(value, dict):
            flat = all(isinstance(each, int | float) for each in value.values())
            lines += [f"{place}: {_shown(value)}"] if flat else _lines(value, f"{place}, ")
        elif key != "series_mib":
            lines.append(f"{place}: {_number(value)}")
    return lines


def _shown(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in values.items())


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end too
    main()
