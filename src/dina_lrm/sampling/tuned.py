"""A LoRA that an alignment run left: where it lies, and what it was optimised for.

A run's folder holds config.json and lora/. A LoRA without that file beside its folder can be judged too; what it was
optimised for is then not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diffusers.loaders.lora_base import LORA_WEIGHT_NAME_SAFE

from dina_lrm.backbones.lora_file import find_lora
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.load import loaded_generator
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.locate import BUNDLED, BUNDLED_LORAS
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.disjoint import shares_with_named
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.typed import DinaError, from_plain

WEIGHTS: Final = LORA_WEIGHT_NAME_SAFE
"""What diffusers calls the file of a pipeline's LoRA."""


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

    def expect_base(self, name: str) -> None:
        """ValueError for a bundled generator that is not the one the LoRA was trained on."""
        own = self.generator.pretrained
        if name != own and {name, own} <= {*BUNDLED, *BUNDLED_LORAS}:
            raise DinaError(f"{name}: the LoRA was trained on {own!r} ({self.path}); accepted: {own}")

    def optimised(self, reward: Reward) -> bool:
        """Whether a reward is one of the objective's, holds one, or reads the weights of one."""
        return shares_with_named(reward, self.names)


def lora_file(name: str | Path) -> Path | None:
    """The file of the LoRA that a file, a folder or the folder of a run has; None where the name is of none.

    Raises ValueError for the folder of a run without a LoRA, which has not ended or trains something else.
    """
    found, folder = find_lora(name), Path(name).expanduser()
    if found is None and (folder / "model").is_dir():
        raise DinaError(f"{folder}: holds a reward model, and no LoRA of a generator")
    if found is None and (folder / "metrics.jsonl").is_file():
        raise DinaError(f"{folder}: holds a run that has not ended, without lora/{WEIGHTS}; go on with it by --resume")
    return found


def tuned_generator(
    settings: GeneratorSettings, device: str, lora: str | Path | None = None, scale: float = 1.0
) -> Generator:
    """A generator with a stored LoRA, times `scale`, in the place of the one that would learn; or without any.

    `lora` is a file or folder in any layout that diffusers reads, or the folder of an alignment run. Raises ValueError
    for what holds no LoRA of this generator, and for the LoRA of another bundled generator.
    """
    generator = loaded_generator(settings, device)
    if lora is None:
        return generator
    file = lora_file(lora)
    run = None if file is None else tuning_run(file)
    if run is not None:
        run.expect_base(settings.pretrained)
    generator.load_lora(Path(lora), scale)
    return generator


def tuning_run(lora: Path) -> TuningRun | None:
    """Read what is known of the run that left a LoRA's file. ValueError for a config.json that cannot be read."""
    path = lora.resolve().parent.parent / "config.json"
    if lora.name != WEIGHTS or not path.is_file():
        return None
    try:
        values = read_json_object(path)
        terms = tuple(from_plain(RewardTerm, term, f"rewards[{n}]") for n, term in enumerate(values["rewards"]))
        return TuningRun(path, from_plain(GeneratorSettings, values["generator"], "generator"), terms)
    except (ValueError, KeyError, TypeError) as error:
        raise DinaError(f"{path}: beside a LoRA, and not the config.json of an alignment run ({error!r})") from error
