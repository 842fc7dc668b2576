"""What runs of all algorithms share: plain values, as in training. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, TypeVar

from dina_lrm.alignment.monitor.settings import LookSettings
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.rewards.addresses import without_passwords
from dina_lrm.runs.ranges import ABOVE_0, COUNT, SEED, UNIT_BELOW_1, check_ranges, ranged
from dina_lrm.runs.trackers import Tracker, check_trackers
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.typed import from_plain, require, to_plain

Config = TypeVar("Config", bound="AlignConfig")
LongPrompts = Literal["refuse", "cut", "skip"]


@dataclass(frozen=True)
class AlignConfig:
    """What runs of all algorithms share. `batch_size` counts images per update, `micro_batch` those held at once."""

    algorithm: ClassVar[str]
    name: str = "custom"
    """What the run is called in reports and cards."""
    seed: int = ranged(0, SEED)
    """Decides the LoRA's start, the prompts of each update and the noise."""
    steps: int = ranged(150, COUNT)
    """Updates."""
    batch_size: int = ranged(256, COUNT)
    """Images an update."""
    micro_batch: int = ranged(8, COUNT)
    """Images that are held with their gradients at once; a divisor of `batch_size`."""
    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    rewards: tuple[RewardTerm, ...] = (RewardTerm(),)
    """Several are summed as z-scores, by mean and deviation over the first look."""
    lr: float = ranged(3e-5, ABOVE_0)
    """Learning rate of AdamW."""
    clip_norm: float = ranged(1.0, ABOVE_0)
    """Largest norm of the whole gradient."""
    ema_decay: float = ranged(0.9, UNIT_BELOW_1)
    """What is kept of the averaged LoRA each time, in [0, 1)."""
    ema_every: int = ranged(8, COUNT)
    """Updates between two of the moving average."""
    looks: LookSettings = field(default_factory=LookSettings)
    checkpoint_every: int = ranged(25, COUNT)
    """Updates between two checkpoints."""
    trackers: tuple[Tracker, ...] = ()
    """Where the numbers of updates and looks go beside metrics.jsonl and monitor.jsonl."""
    long_prompts: LongPrompts = "refuse"
    """What is done with prompts that are longer than the text encoders read: they end the command; they are cut, as
    every pipeline does; or they are left out. All are counted, and named by their lines. What only CLIP cuts is none
    where T5 reads on."""

    def __post_init__(self) -> None:
        check_ranges(self)
        require(self.batch_size % self.micro_batch == 0, "micro_batch", self.micro_batch, "a divisor of batch_size")
        reached = self.ema_every <= self.steps
        require(reached, "ema_every", self.ema_every, f"at most steps, {self.steps}: lora/ holds the moving average")
        require(bool(self.rewards), "rewards", self.rewards, "at least one reward")
        check_trackers("trackers", self.trackers)
        several = len(self.rewards) == 1 or self.looks.prompts > 1
        require(several, "looks.prompts", self.looks.prompts, "at least 2 to standardise several rewards by")
        number, window = self.number_of_looks(), self.looks.window
        heard = self.looks.on_alarm == "tell" or number >= window
        require(heard, "looks.on_alarm", f"{self.looks.on_alarm} with {number} looks", f"{window} looks (looks.window)")

    @property
    def copies(self) -> int:
        """Copies of the LoRA that a run holds and stores beside the one that learns and its average."""
        return 0

    @property
    def win_rates(self) -> bool:
        """Whether rewards are compared by their win rates in a group."""
        return False

    def number_of_looks(self) -> int:
        """Before the first update, every `looks.every` updates, and at the end."""
        return 1 + math.ceil(self.steps / self.looks.every)

    def smallest(self: Config, processes: int = 1) -> Config:
        """Two updates of a micro-batch a process, with looks at an image a prompt before and after: a rehearsal."""
        looks = replace(self.looks, every=2, images=1, on_alarm="tell")
        few = self._fewest(processes)
        return replace(self, steps=2, batch_size=few, ema_every=1, looks=looks, checkpoint_every=2, trackers=())

    def _fewest(self, processes: int) -> int:
        """The smallest batch that so many processes can share."""
        return self.micro_batch * processes

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, with the algorithm's name; passwords of rewards are left out."""
        return {"algorithm": self.algorithm, **without_passwords(to_plain(self))}

    @classmethod
    def from_dict(cls: type[Config], values: Mapping[str, Any]) -> Config:
        """Read plain values strictly; ValueError names an unknown key, a wrong type, another algorithm."""
        return from_plain(cls, cls.stored_in(values))

    @classmethod
    def stored_in(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The settings among what a file holds, without the algorithm's name. ValueError for another algorithm."""
        found = values.get("algorithm", cls.algorithm)
        require(found == cls.algorithm, "algorithm", found, cls.algorithm)
        return {key: value for key, value in values.items() if key != "algorithm"}
