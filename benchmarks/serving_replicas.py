"""Servers one process of which is killed in the middle of many requests, and how many replicas a step needs.

ray         two replicas of Ray Serve, one killed; the client of this project, which asks again
trainers    the same, by a client as trainers bring it: three tries
once        the same, by a client that asks once
supervised  one server without Ray, killed and started again a second later; the client of this project
table       milliseconds of a core for a batch of 8, and the replicas that steps need

python -m benchmarks serving_replicas
python -m benchmarks.serving_replicas --parts ray supervised --requests 200 --json replicas.json
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.load.server import serving
from benchmarks.load.survival import (
    OwnClient,
    Question,
    Supervised,
    Survival,
    ThreeTries,
    ask_through,
    questions,
    replicas_of,
)
from benchmarks.measuring import timed_in_turn
from dina_lrm.reward_model.model import LatentRewardModel

PROMPTS = [f"a {size} {colour} ring on white" for size in ("large", "small") for colour in ("red", "blue", "green")]
REPLICAS = ("--replicas", "2", "--replica-cpus", "0.5")
PATIENT = 12
"""Retries of a client that waits for a server to start again."""
BATCH = 8
STEPS = (252, 1024, 4096)
SECONDS = (1.0, 5.0, 20.0)


def ray_replica_killed(asked: Sequence[Question], make: Callable[[str], Any]) -> dict[str, Any]:
    """Two replicas, one killed after a third of the answers."""
    with serving(*REPLICAS) as server:
        kill = lambda: replicas_of(server.process)[0].kill()  # noqa: E731 - one line
        found = ask_through(lambda: make(server.address), asked, kill, len(asked) // 3)
        print(f"  {found.line()}", flush=True)
        return {**asdict(found), "ready_seconds": server.seconds}


def supervised_killed(asked: Sequence[Question]) -> dict[str, Any]:
    """One process, killed after a third of the answers and started again."""
    with Supervised().running() as server:
        make = lambda: OwnClient(server.address, retries=PATIENT)  # noqa: E731 - one line
        found: Survival = ask_through(make, asked, server.kill, len(asked) // 3)
        print(f"  {found.line()}", flush=True)
        return {**asdict(found), "starts": server.starts}


def batch_milliseconds(model: LatentRewardModel, rounds: int = 21) -> float:
    """Milliseconds of one core for a batch of `BATCH` latents at one level, median of `rounds`.

    Processor time, which on one thread is what it takes where nothing else runs.
    """
    told = model.encode_prompts(["a large red ring on white"] * BATCH)
    latents, level = torch.randn(BATCH, 16, 8, 8), torch.full((BATCH,), 0.4)

    def job() -> object:
        with torch.no_grad():
            return model.score_noisy(latents, level, told)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return 1000 * statistics.median(timed_in_turn({"batch": job}, rounds)["batch"].cpu_seconds)
    finally:
        torch.set_num_threads(threads)


def server_milliseconds(asked: Sequence[Question]) -> float:
    """Milliseconds of a core that a server takes for `BATCH` requests of one item: HTTP, reading, model and answer."""
    with serving("--max-batch-size", str(BATCH)) as server:
        make = lambda: OwnClient(server.address)  # noqa: E731 - one line
        ask_through(make, asked[:BATCH], lambda: None, 0)
        before = server.cpu_seconds()
        ask_through(make, asked, lambda: None, 0)
        return 1000 * BATCH * (server.cpu_seconds() - before) / len(asked)


def sizing(model: LatentRewardModel, asked: Sequence[Question]) -> dict[str, Any]:
    """What eight requests take, by the model alone and by the server, and the table of replicas by the latter."""
    took = server_milliseconds(asked)
    return {"model_ms": batch_milliseconds(model), "server_ms": took, "replicas": table(took)}


def replicas_needed(requests: int, batch_ms: float, seconds: float, batch: int = BATCH) -> int:
    """Replicas that answer a step's requests within so many seconds, each scoring full batches one after another.

    `batch_ms` is what a replica takes for `batch` requests.
    """
    return math.ceil(math.ceil(requests / batch) * batch_ms / (1000 * seconds))


def table(batch_ms: float) -> dict[str, dict[str, int]]:
    """Replicas by the requests of a step and the seconds it may take."""
    return {
        f"{requests} requests": {f"{seconds:g} s": replicas_needed(requests, batch_ms, seconds) for seconds in SECONDS}
        for requests in STEPS
    }


def main(words: list[str]) -> None:
    """Run the parts chosen, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("ray", "trainers", "once", "supervised", "table")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(words)
    model = LatentRewardModel.from_pretrained("synthetic", device="cpu")
    asked = questions(model, chosen.requests, PROMPTS)
    jobs: dict[str, Callable[[], dict[str, Any]]] = {
        "ray": lambda: ray_replica_killed(asked, OwnClient),
        "trainers": lambda: ray_replica_killed(asked, ThreeTries),
        "once": lambda: ray_replica_killed(asked, lambda address: OwnClient(address, retries=0)),
        "supervised": lambda: supervised_killed(asked),
        "table": lambda: sizing(model, asked),
    }
    found = {}
    for part in chosen.parts:
        print(f"{part}:", flush=True)
        found[part] = jobs[part]()
        print(f"  {json.dumps(found[part])}", flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
