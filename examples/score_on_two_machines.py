"""Score pictures on two machines of a Ray, one of which is taken away in the middle, and once in one process.

    python examples/score_on_two_machines.py --out machines

Prints what each of the two runs scored, how many workers were replaced when a machine was gone, and whether both tables
are the same, byte for byte. The machines are two nodes of Ray on this one, each with a worker: processes of their own
that know each other by their ports alone. Takes 60 seconds on two cores.

To make it yours, leave the cluster out. On the first machine `ray start --head --port 6379` begins a Ray, on each other
`ray start --address FIRST:6379` joins it: all with RAY_AUTH_MODE=token and one token, and with the folder of the
pictures in the same place. Then, on any of them, the whole run is
`dina-lrm score --images FOLDER --model MODEL --out scores.csv --engine ray --ray-address auto`.
"""

import argparse
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from ray.cluster_utils import Cluster

from dina_lrm.engines.settings import RayEngine
from dina_lrm.rewards.scoring.files import ScoreSummary, score_files_by
from dina_lrm.rewards.scoring.rows import ScoreRow

MODEL = "synthetic"
PROMPTS = ["a large red ring on white", "a small blue bar on black"]
SIDE = 32


def pictures(folder: Path, count: int) -> list[ScoreRow]:
    """Pictures of noise, which a model scores as well as any others, with the prompts in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    draw, rows = np.random.default_rng(0), []
    for number in range(count):
        path = folder / f"{number:04d}.png"
        Image.fromarray(draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
        rows.append(ScoreRow(path.name, PROMPTS[number % len(PROMPTS)], path))
    return rows


@contextmanager
def two_machines() -> Iterator[Cluster]:
    """A Ray of two nodes, each with one processor; only processes that know its token may speak to it."""
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    cluster = Cluster()
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=100 << 20, include_dashboard=False)
        yield cluster
    finally:
        cluster.shutdown()


def told(where: str, found: ScoreSummary) -> None:
    """Say what a run did."""
    print(f"{where}: {found.scored} of {found.rows} pictures scored")
    for note in found.workers:
        print(f"{where}: {note}")


def main() -> None:
    """Score twice, and compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=400)
    given = parser.parse_args()
    rows = pictures(given.out / "pictures", given.images)
    here, there = given.out / "here.csv", given.out / "there.csv"
    told("this process", score_files_by(MODEL, rows, here, device="cpu"))
    with two_machines() as cluster:
        lost = cluster.worker_nodes.copy()

        def take_one_away(done: int, total: int) -> None:
            if done >= total // 4 and lost:
                cluster.remove_node(lost.pop(), allow_graceful=False)

        engine = RayEngine(cluster.address, actors=2)
        told("two machines", score_files_by(MODEL, rows, there, device="cpu", engine=engine, progress=take_one_away))
    print(f"the tables are {'the same' if here.read_bytes() == there.read_bytes() else 'not the same'}")


if __name__ == "__main__":
    main()
