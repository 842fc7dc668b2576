"""What a rehearsed alignment would take: its updates and looks at the rate of the last of each."""

from __future__ import annotations

from dataclasses import dataclass, field

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.cli.common import console


@dataclass
class Clock:
    """When updates were done, and how long a picture of the last look took."""

    updates: list[float] = field(default_factory=list)
    began: float = 0.0
    a_picture: float = 0.0


def expected_cost(
    config: AlignConfig, rehearsed: int, shown: int, clock: Clock, device: str, quiet: bool
) -> dict[str, object]:
    """Say what the run of `config` would take, and return it.

    Updates were rehearsed with batches of `rehearsed`; `shown` prompts are looked at.
    """
    import torch

    from dina_lrm.runs.processes import peak_memory_bytes

    update = (clock.updates[-1] - clock.updates[-2]) * config.batch_size / rehearsed
    looks = config.number_of_looks()
    look = clock.a_picture * shown * config.looks.images
    seconds, peak = update * config.steps + look * looks, peak_memory_bytes(torch.device(device))
    drawn = "; its pairs are drawn before, which is not counted" if config.algorithm == "dpo" else ""
    console(quiet).print(
        f"dry run, nothing was kept: {update:.2f} s an update of {config.batch_size}, {look:.2f} s a look; "
        f"{config.steps} updates and {looks} looks: about {seconds / 60:.1f} min{drawn}; peak memory of the smallest "
        f"batch {peak / 2**30:.2f} GiB",
    )
    return {
        "seconds_per_update": update,
        "seconds_per_look": look,
        "estimated_seconds": seconds,
        "peak_memory_bytes": peak,
    }
