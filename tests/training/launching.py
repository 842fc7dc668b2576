"""Several processes that compute one run, as `torchrun` starts them, without the seconds that a launcher takes."""

import os
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true"}
WAYS = {
    "ddp": {},
    "fsdp": FSDP,
    "fsdp-kept": FSDP | {"FSDP_RESHARD_AFTER_FORWARD": "false"},
    "zero-2": {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"},
    "zero-3": {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"},
}
"""What `accelerate launch` says to its processes."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start_group(count: int, command: list[str], environment: dict[str, str] | None = None) -> list[subprocess.Popen]:
    """The processes of a launch, not yet at their end."""
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(count)}
    group |= {"LOCAL_WORLD_SIZE": str(count), **(environment or {})}
    return [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]


def ended(processes: list[subprocess.Popen], timeout: float = 240) -> list[tuple[int, str]]:
    """How each process ended, and what it said."""
    said = [process.communicate(timeout=timeout)[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]
