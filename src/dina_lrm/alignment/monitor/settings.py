"""When a run looks at its samples, and what an alarm does. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dina_lrm.runs.ranges import COUNT, UNIT_ABOVE_0, check_ranges, ranged
from dina_lrm.typed import require

LEAST_LOOKS: Final = 5
"""What a trend needs, as `trend.LEAST_POINTS`, whose module takes long to import."""
OnAlarm = Literal["tell", "stop", "roll-back"]


@dataclass(frozen=True)
class LookSettings:
    """Looks at samples of the moving average, always of the same prompts and seeds, and what is asked of them."""

    every: int = ranged(25, COUNT)
    """Updates between two looks; there is one before the first update and one at the end."""
    prompts: int = ranged(16, COUNT)
    """Prompts of a look, held out of those that are trained on."""
    images: int = ranged(2, COUNT)
    """Images a prompt."""
    sampling_steps: int | None = ranged(None, COUNT)
    """Sampling steps of a look, where the generator will be used with more than it is trained with; None = as many."""
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
