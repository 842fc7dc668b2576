"""A LoRA that an alignment run left: loading it beside the base it was made for, and what it was optimised for.

A run's folder holds config.json and lora/. A LoRA without that file beside its folder can be judged too; what it was
optimised for is then not known.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from peft.utils import get_peft_model_state_dict
from safetensors import safe_open

from dina_lrm.alignment.config import GeneratorSettings, RewardTerm
from dina_lrm.alignment.disjoint import shares_with_named
from dina_lrm.alignment.generator import Generator
from dina_lrm.backbones.adapter_state import AdapterScope
from dina_lrm.rewards.base import Reward
from dina_lrm.typed import from_plain

WEIGHTS: Final = "pytorch_lora_weights.safetensors"
"""What diffusers calls the file of a pipeline's LoRA."""
ADAPTER: Final = "tuned"


@dataclass(frozen=True)
class TuningRun:
    """What a run's config.json says: its generator, and the rewards of its objective."""

    path: Path
    generator: GeneratorSettings
    rewards: tuple[RewardTerm, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The rewards by name."""
        return tuple(term.name for term in self.rewards)

    def optimised(self, reward: Reward) -> bool:
        """Whether a reward is one of the objective's, holds one, or reads the weights of one."""
        return shares_with_named(reward, self.names)


def lora_folder(name: str) -> Path | None:
    """The folder of the LoRA in a folder of a LoRA or of a run; None where the name is of neither.

    Raises ValueError for the folder of a run without a LoRA, which has not ended.
    """
    folder = Path(name).expanduser()
    for place in (folder, folder / "lora"):
        if (place / WEIGHTS).is_file():
            return place
    if (folder / "metrics.jsonl").is_file():
        raise ValueError(f"{folder}: holds a run that has not ended, without lora/{WEIGHTS}; go on with it by --resume")
    return None


def tuning_run(lora: Path) -> TuningRun | None:
    """What is known of the run that left a LoRA. Raises ValueError for a config.json that cannot be read."""
    path = lora.resolve().parent / "config.json"
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        terms = tuple(from_plain(RewardTerm, term, f"rewards[{n}]") for n, term in enumerate(values["rewards"]))
        return TuningRun(path, from_plain(GeneratorSettings, values["generator"], "generator"), terms)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: beside a LoRA, and not the config.json of an alignment run ({error!r})") from error


def load_lora(generator: Generator, folder: Path, scale: float = 1.0) -> AdapterScope:
    """Load a LoRA beside the generator's weights; inside the scope's `entered()` the generator computes with it.

    Raises:
        ValueError: for a LoRA that is not all of this generator's transformer or U-Net, or does not fit it.
    """
    names = _tensor_names(folder / WEIGHTS)
    component = "unet" if "unet" in generator.pipeline.components else "transformer"
    other = next((name for name in names if not name.startswith(f"{component}.")), None)
    if other is not None:
        raise ValueError(f"{folder}: holds {other!r}; accepted: a LoRA of the generator's {component} alone")
    try:
        with warnings.catch_warnings():
            # The generator has adapters already, which is meant
            warnings.filterwarnings("ignore", "Already found a `peft_config` attribute")
            # Of what diffusers clears away before it raises
            warnings.filterwarnings("ignore", f"Adapter {ADAPTER} was active which is now deleted")
            generator.pipeline.load_lora_weights(folder, adapter_name=ADAPTER)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{folder}: does not fit {type(generator.model).__name__}: {error}") from error
    loaded, name = len(get_peft_model_state_dict(generator.model, adapter_name=ADAPTER)), type(generator.model).__name__
    if loaded != len(names):
        raise ValueError(f"{folder}: holds {len(names)} tensors, of which {loaded} were loaded into {name}")
    generator.pipeline.set_adapters(ADAPTER, scale)
    return AdapterScope(generator.model, ADAPTER)


def _tensor_names(path: Path) -> Sequence[str]:
    with safe_open(path, framework="numpy") as file:
        return list(file.keys())
