"""What an alignment run is: plain values, as in training. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, TypeVar

from dina_lrm.precision import Precision
from dina_lrm.rewards.bounded_http import without_password, without_passwords
from dina_lrm.run_trackers import Tracker, check_trackers
from dina_lrm.runs.ranges import (
    ABOVE_0,
    COUNT,
    COUNT_OR_0,
    FINITE,
    NOT_NEGATIVE,
    SEED,
    UNIT,
    UNIT_ABOVE_0,
    UNIT_BELOW_1,
    check_ranges,
    ranged,
)
from dina_lrm.typed import from_plain, require, to_plain

Shaping = Literal["linear", "relu", "log-sigmoid"]
Config = TypeVar("Config", bound="AlignConfig")
LEAST_LOOKS: Final = 5
"""What a trend needs, as `trend.LEAST_POINTS`, whose module takes long to import."""
OnAlarm = Literal["tell", "stop", "roll-back"]


@dataclass(frozen=True)
class RewardTerm:
    """One reward of the objective, by its name in `rewards`: "latent:MODEL" or a differentiable judge of pixels."""

    name: str = "latent:synthetic"
    weight: float = ranged(1.0, FINITE)
    noise_level: float | tuple[float, ...] | None = ranged(None, UNIT)
    """At which a latent reward is read, or several for an ensemble; None = that stored with the model."""

    def __post_init__(self) -> None:
        check_ranges(self, f"rewards.{self.shown}")

    @property
    def shown(self) -> str:
        """Its name as it is kept and shown: without the password of a `remote:` address."""
        return without_password(self.name)


@dataclass(frozen=True)
class GeneratorSettings:
    """The generator and the LoRA that learns."""

    pretrained: str = "stabilityai/stable-diffusion-3.5-medium"
    resolution: int = ranged(1024, COUNT)
    prompt_length: int = ranged(128, COUNT_OR_0)
    """Tokens of the long text encoder; 0 for a Stable Diffusion 3 without T5."""
    rank: int = ranged(32, COUNT)
    alpha: float = ranged(64.0, ABOVE_0)
    sampling_steps: int = 40
    guidance: float = 4.5
    """Of the steps without gradient; the step with gradient is conditional alone. Up to 1 there is none, as in every
    pipeline (turbo models are called with 0); Z-Image's own scale counts from 0, and is 1 less. A U-Net distilled with
    its guidance (LCM) is told the scale."""
    lora: str | None = None
    """A LoRA that the generator has already, a file or a folder: it stays as it is, also in the reference, and what
    is learned comes on top."""
    precision: Precision = "auto"
    """What the frozen weights are held in; what learns, and every step of sampling, is float32. auto = bf16 where the
    hardware has it."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass, the generator's and those of latent rewards: less memory, more
    time."""

    def __post_init__(self) -> None:
        check_ranges(self, "generator")
        require(0 <= self.guidance < math.inf, "generator.guidance", self.guidance, "a finite number of at least 0")
        require(self.sampling_steps >= 2, "generator.sampling_steps", self.sampling_steps, "an integer of at least 2")


@dataclass(frozen=True)
class ReflSettings:
    """Reward feedback learning: where the gradient enters, and how rewards become a loss."""

    first: int = 30
    """The step with gradient is drawn from `first` to `last`, counted from 0 at the noise end."""
    last: int = 39
    shaping: Shaping = "linear"
    margin: float = ranged(2.0, FINITE)
    """relu: no pull on rewards above it."""
    scale: float = ranged(1.0, ABOVE_0)
    pretraining_weight: float = ranged(0.0, NOT_NEGATIVE)
    """Of the mean squared error on clean samples: (loss + w mse) / (1 + w)."""
    pretraining_samples: int = ranged(64, COUNT)
    """How many clean samples are drawn before the run, where the weight is above 0."""
    pretraining_data: str | None = None
    """A set of comparisons, whose preferred images are the clean samples; None = the base model's own."""
    kl_weight: float = ranged(0.0, NOT_NEGATIVE)
    """Of the mean squared distance to the base model's velocity, to which the KL of a step is proportional."""

    def __post_init__(self) -> None:
        check_ranges(self, "refl")


@dataclass(frozen=True)
class GrpoSettings:
    """Group-relative policy optimisation: which steps are stochastic, and how rewards become a loss."""

    group: int = 18
    """Images a prompt, which are compared with each other."""
    kernel: Literal["flow-sde", "cps", "ddim"] = "flow-sde"
    """A stochastic step; variance-preserving generators have cps and ddim."""
    eta: float = ranged(0.7, ABOVE_0)
    window: Literal["every", "first", "random", "sliding"] = "first"
    """Which steps are stochastic and trained; "every" is Flow-GRPO, the others are Flow-GRPO-Fast."""
    window_steps: int = ranged(3, COUNT)
    window_until: float = ranged(0.5, UNIT_ABOVE_0)
    """random: the share of the schedule in which it lies."""
    window_period: int = ranged(25, COUNT)
    """sliding: updates after which it moves on."""
    shared_noise: bool = False
    """Whether the images of a prompt begin with the same noise, so that only the window tells them apart."""
    clip: float = 1e-5
    advantage_clip: float = ranged(5.0, ABOVE_0)
    scope: Literal["group", "batch"] = "group"
    """Whose standard deviation advantages are divided by."""
    combination: Literal["sum", "normalised"] = "sum"
    """Several rewards: summed, or each normalised in its group first."""
    guard: bool = False
    """GRPO-Guard's centred log-ratio and weights."""
    updates: int = ranged(2, COUNT)
    """Optimiser steps that the images of a batch are divided into."""
    drop_flat_groups: bool = False
    """Leave groups whose images all got one reward out of the loss. Else they count with an advantage of 0, which
    dilutes what others teach, and their KL counts too. The log has their number either way."""
    kl_weight: float = ranged(0.0, NOT_NEGATIVE)
    kl: Literal["exact", "flow-grpo"] = "exact"

    def __post_init__(self) -> None:
        require(self.group >= 2, "grpo.group", self.group, "at least two images a prompt")
        check_ranges(self, "grpo")
        require(0 < self.clip < 1, "grpo.clip", self.clip, "a number between 0 and 1")
        guarded = not (self.guard and self.kernel == "cps")
        require(guarded, "grpo.guard", self.guard, "Gaussian kernels (flow-sde, ddim)")


@dataclass(frozen=True)
class LpoSettings:
    """Latent preference optimisation: pairs of candidates of a step, judged at their own noise level."""

    candidates: int = 4
    """Next states drawn from each state."""
    kernel: Literal["flow-sde", "cps", "ddim"] = "flow-sde"
    """The step that draws them; variance-preserving generators have cps and ddim (eta = 1 is the paper's)."""
    eta: float = ranged(0.7, ABOVE_0)
    highest: float = ranged(0.95, UNIT_ABOVE_0)
    """Noise level above which nothing is trained: 0.95 of the paper, 0.75 of earlier step-level methods."""
    scored: Literal["noisy", "clean"] = "noisy"
    """What the reward sees of a candidate: itself, or the clean latents that the generator predicts from it."""
    scored_at: Literal["candidate", "state"] = "candidate"
    """The noise level that the reward is told: the candidate's own, or that of the state it was drawn from, as in the
    published code of LPO."""
    last_step: bool = False
    """Train the last step too, as the published code does. For its pairs, ddim and cps draw it to the level of the
    first timestep, .001, since they have no noise at level 0, where it leads to clean latents. Samples end as they do
    without."""
    low: float = 0.35
    """The threshold on P(best) - P(worst) where candidates differ least."""
    high: float = 0.5
    """That where they differ most."""
    quantity: Literal["std", "variance", "level"] = "std"
    """What the threshold between the two is linear in: the step's deviation, its square, or the noise level."""
    beta: float = ranged(500.0, ABOVE_0)
    epsilon: float = 0.1
    """Ratios beyond 1 +- epsilon are clipped."""
    updates: int = ranged(1, COUNT)
    """Optimiser steps that the pairs of a batch are divided into."""

    def __post_init__(self) -> None:
        require(self.candidates >= 2, "lpo.candidates", self.candidates, "at least two")
        check_ranges(self, "lpo")
        told = self.scored == "noisy" or self.scored_at == "candidate"
        require(told, "lpo.scored_at", self.scored_at, "candidate with lpo.scored clean: what is clean has no level")
        require(0 <= self.low <= self.high < 1, "lpo.low, lpo.high", (self.low, self.high), "0 <= low <= high < 1")
        require(0 < self.epsilon < 1, "lpo.epsilon", self.epsilon, "a number between 0 and 1")


@dataclass(frozen=True)
class DpoSettings:
    """Offline preference optimisation: pairs of the generator's samples, drawn and judged once before the run."""

    prompts: int = ranged(256, COUNT)
    """Prompts that pairs are drawn for, one pair each."""
    candidates: int = 4
    """Samples a prompt, of which the reward's best and worst make the pair."""
    beta: float = ranged(2000.0, ABOVE_0)

    def __post_init__(self) -> None:
        check_ranges(self, "dpo")
        require(self.candidates >= 2, "dpo.candidates", self.candidates, "at least two samples a prompt")


@dataclass(frozen=True)
class LookSettings:
    """Looks at samples of the moving average, always of the same prompts and seeds, and what is asked of them."""

    every: int = ranged(25, COUNT)
    """Updates between two looks; there is one before the first update and one at the end."""
    prompts: int = ranged(16, COUNT)
    images: int = ranged(2, COUNT)
    """Images a prompt."""
    sampling_steps: int | None = ranged(None, COUNT)
    """Of a look, where the generator will be used with more than it is trained with; None = as many as those."""
    golden: str | None = None
    """A judge of pictures by its name in `rewards`, that nothing is optimised for and that shares nothing with it."""
    judges: tuple[str, ...] = ()
    """More judges of pictures, to be recorded."""
    window: int = 8
    """Looks over which the alarm takes its trends; in a run with fewer looks none sounds."""
    on_alarm: OnAlarm = "tell"
    """What an alarm does: it is told; or the run stops; or it stops, and lora/ is that of the look that the golden
    reward liked best of those before what the alarm is about."""
    save_loras: bool = False
    """Keep the LoRA of every look, as loras/step-N; always so for roll-back."""
    lora_scale: float = ranged(1.0, UNIT_ABOVE_0)
    """How much of the LoRA looks are sampled with: less of it holds the generator nearer to its base. What is stored is
    the whole LoRA, for `--lora-scale`."""

    def __post_init__(self) -> None:
        check_ranges(self, "looks")
        require(self.window >= LEAST_LOOKS, "looks.window", self.window, f"{LEAST_LOOKS} looks or more")
        golden = self.on_alarm != "roll-back" or self.golden is not None
        require(golden, "looks.on_alarm", self.on_alarm, "roll-back with a golden reward to roll back to")


@dataclass(frozen=True)
class AlignConfig:
    """What runs of all algorithms share. `batch_size` counts images per update, `micro_batch` those held at once."""

    algorithm: ClassVar[str]
    name: str = "custom"
    seed: int = ranged(0, SEED)
    steps: int = ranged(150, COUNT)
    batch_size: int = ranged(256, COUNT)
    micro_batch: int = ranged(8, COUNT)
    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    rewards: tuple[RewardTerm, ...] = (RewardTerm(),)
    """Several are summed as z-scores, by mean and deviation over the first look."""
    lr: float = ranged(3e-5, ABOVE_0)
    clip_norm: float = ranged(1.0, ABOVE_0)
    ema_decay: float = ranged(0.9, UNIT_BELOW_1)
    ema_every: int = ranged(8, COUNT)
    """Updates between two of the moving average."""
    looks: LookSettings = field(default_factory=LookSettings)
    checkpoint_every: int = ranged(25, COUNT)
    trackers: tuple[Tracker, ...] = ()
    """Where the numbers of updates and looks go beside metrics.jsonl and monitor.jsonl."""

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
        found = values.get("algorithm", cls.algorithm)
        require(found == cls.algorithm, "algorithm", found, cls.algorithm)
        return from_plain(cls, {key: value for key, value in values.items() if key != "algorithm"})


@dataclass(frozen=True)
class ReflConfig(AlignConfig):
    """A complete run of reward feedback learning."""

    algorithm = "refl"
    refl: ReflSettings = field(default_factory=ReflSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        last = self.generator.sampling_steps - 1
        inside = 0 <= self.refl.first <= self.refl.last <= last
        used = self.refl.pretraining_data is None or self.refl.pretraining_weight > 0
        require(used, "refl.pretraining_data", self.refl.pretraining_data, "with a pretraining_weight above 0 only")
        require(inside, "refl.first, refl.last", (self.refl.first, self.refl.last), f"0 <= first <= last <= {last}")


@dataclass(frozen=True)
class GrpoConfig(AlignConfig):
    """A complete run of Flow-GRPO, or of Flow-GRPO-Fast where few steps are stochastic."""

    algorithm = "flow-grpo"
    grpo: GrpoSettings = field(default_factory=GrpoSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        group, parts = self.grpo.group, self.batch_size // self.micro_batch
        require(self.batch_size % group == 0, "grpo.group", group, f"a divisor of batch_size, {self.batch_size}")
        updates = self.grpo.updates
        require(parts % updates == 0, "grpo.updates", updates, f"a divisor of {parts} micro-batches")
        last = self.generator.sampling_steps - 1
        fits = self.grpo.window == "every" or self.grpo.window_steps <= last
        require(fits, "grpo.window_steps", self.grpo.window_steps, f"at most {last}")

    def smallest(self, processes: int = 1) -> GrpoConfig:
        """Two updates of as few whole groups as there are micro-batches for all processes."""
        return super(GrpoConfig, replace(self, grpo=replace(self.grpo, updates=1))).smallest(processes)

    def _fewest(self, processes: int) -> int:
        return math.lcm(self.grpo.group, self.micro_batch * processes)


@dataclass(frozen=True)
class LpoConfig(AlignConfig):
    """A complete run of latent preference optimisation. `batch_size` counts trajectories per update."""

    algorithm = "lpo"
    lpo: LpoSettings = field(default_factory=LpoSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        plain = len(self.rewards) == 1 and self.rewards[0].weight == 1
        require(
            plain, "rewards", [(term.shown, term.weight) for term in self.rewards], "one reward of weight 1 for LPO"
        )


@dataclass(frozen=True)
class DpoConfig(AlignConfig):
    """A complete run of offline preference optimisation. `batch_size` counts pairs per update."""

    algorithm = "dpo"
    dpo: DpoSettings = field(default_factory=DpoSettings)

    def smallest(self, processes: int = 1) -> DpoConfig:
        """Two updates on one pair."""
        return super(DpoConfig, replace(self, dpo=replace(self.dpo, prompts=1, candidates=2))).smallest(processes)
