"""A Ray to work on: one of its own, which ends with the work, or one that is there."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import ray

from dina_lrm.engines.settings import RayEngine
from dina_lrm.typed import DinaError

OBJECT_BYTES: Final = 256 << 20
"""Memory of a Ray of its own for what is on its way between processes."""


def start_ray(cpus: int, object_bytes: int) -> None:
    """Start a Ray that reports to nobody, shows no dashboard, and asks for a token that no file holds."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _leave_print()
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    ray.init(
        address="local",
        num_cpus=cpus,
        include_dashboard=False,
        object_store_memory=object_bytes,
        log_to_driver=False,
        logging_level="error",
        _node_ip_address="127.0.0.1",
    )


@contextmanager
def session(engine: RayEngine) -> Iterator[None]:
    """Be connected to Ray while entered: to the one that this process is connected to already, else by `engine`.

    Raises ValueError where none answers at the address, or its versions of Ray or Python are others than here.
    """
    if ray.is_initialized():
        yield
        return
    if engine.address is None:
        start_ray((engine.actors or 1) * engine.cpus, OBJECT_BYTES)
    else:
        _connect(engine.address)
    try:
        yield
    finally:
        ray.shutdown()


def _leave_print() -> None:
    """Have Ray not put a `print` of its own in the place of Python's."""
    os.environ.setdefault("RAY_TQDM_PATCH_PRINT", "0")


def _connect(address: str) -> None:
    _leave_print()
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        told = " ".join(str(error).split())
        raise DinaError(f"--ray-address {address}: {told:.400}; accepted: the address of a Ray that runs") from error


def seats(engine: RayEngine, with_gpu: bool) -> tuple[int, int]:
    """How many workers there shall be, and how many GPUs each has: 1 where it may use one and the Ray has any.

    Raises ValueError for more workers than all machines of the Ray have room for, busy or not.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(with_gpu and any(machine.get("GPU", 0) >= 1 for machine in machines))
    room = [int(machine.get("CPU", 0) // engine.cpus) for machine in machines]
    if gpus:
        room = [min(here, int(machine.get("GPU", 0))) for here, machine in zip(room, machines, strict=True)]
    usual = sum(room) if gpus else sum(here > 0 for here in room)
    wanted = engine.actors or usual
    if not 1 <= wanted <= sum(room):
        each = f"{engine.cpus} CPUs" + (" and a GPU" if gpus else "")
        told = f"{sum(room)} on {len(machines)} machines, at {each} for each"
        raise DinaError(f"--actors {wanted}: this Ray has room for {told}; accepted: as many, or smaller --actor-cpus")
    return wanted, gpus
