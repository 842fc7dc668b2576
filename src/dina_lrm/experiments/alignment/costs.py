"""What an alignment algorithm computes: FLOPs of what it does before the first update, and of an update."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.trainer import ALGORITHMS
from dina_lrm.generators.generator import Generator
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective
from dina_lrm.typed import from_plain


@dataclass(frozen=True)
class AlignmentCost:
    """FLOPs, counted on the operators that ran; a multiplication and an addition are two."""

    first: float
    """All until the first update is done, what is drawn once included."""
    update: float
    """The mean of the updates after it."""

    def after(self, updates: int) -> float:
        """FLOPs until that many updates are done."""
        return 0.0 if updates == 0 else self.first + self.update * (updates - 1)


def alignment_cost(config: AlignConfig, generator: Generator, prompts: Sequence[str], more: int = 4) -> AlignmentCost:
    """Run an update and `more` of them, and count what they compute. The LoRA learns from them.

    Updates differ in cost where an algorithm draws the step that it learns from.
    """
    kind = ALGORITHMS[type(config)]
    with FlopCounterMode(display=False) as start:
        objective = Objective(generator, config.rewards, kind.differentiable)
        if len(config.rewards) > 1:
            # As weights of z-scores: the cost is that of any scale
            objective.standardise({term.name: (0.0, 1.0) for term in config.rewards})
        algorithm = kind(config, generator, objective, prompts, Processes(cpu=generator.backbone.device.type == "cpu"))
    optimizer = torch.optim.AdamW(generator.parameters.values(), lr=config.lr)

    def learn() -> float:
        optimizer.step()
        optimizer.zero_grad()
        return 0.0

    counted = []
    for step in range(1 + more):
        with FlopCounterMode(display=False) as counter:
            algorithm.update(step, learn)
        counted.append(float(counter.get_total_flops()))
    return AlignmentCost(start.get_total_flops() + counted[0], sum(counted[1:]) / more)


def save_costs(costs: dict[str, AlignmentCost], path: Path) -> None:
    """Write them whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_when_complete(path) as temporary:
        temporary.write_text(json.dumps({name: asdict(cost) for name, cost in costs.items()}, indent=1) + "\n")


def load_costs(path: Path) -> dict[str, AlignmentCost]:
    """Read the costs of a file; none where there is no file."""
    if not path.is_file():
        return {}
    return {name: from_plain(AlignmentCost, cost, f"{path}.{name}") for name, cost in read_json_object(path).items()}
