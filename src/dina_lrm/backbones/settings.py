"""What a user says of a backbone: which generator is read, and the LoRA that a reward has in it."""

import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

PROMPT_LENGTH: Final = 128
"""Tokens of the long text encoder where nothing else is said: as the paper trains (section 5.1)."""


@dataclass(frozen=True)
class BackboneConfig:
    """Which generator is read, how deep, and where.

    A tap `n` is the state after `n` blocks; 0 is the embedding before the first block. `prompt_length` counts the
    tokens of the long text encoder (T5 in SD3 and FLUX); 0 means that the model is run without that part.
    `guidance` goes into models that have an embedding for it (FLUX.1-dev); others do not see it. `reading` is "own" for
    the way the generator itself is run, or "released" for reward weights trained by the code released with the paper,
    which differs there (FLUX: timestep and guidance unscaled; Z-Image: padding of captions among the text tokens).
    Raises ValueError on a depth below 1 and on taps that are not strictly increasing within 0..depth.
    """

    family: str
    pretrained: str
    depth: int
    visual_taps: tuple[int, ...]
    text_taps: tuple[int, ...] = ()
    prompt_length: int = PROMPT_LENGTH
    revision: str | None = None
    guidance: float = 3.5
    reading: str = "own"

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"depth: got {self.depth}, expected at least 1")
        if not self.visual_taps:
            raise ValueError("visual_taps: got none, expected at least one")
        for name, taps in (("visual_taps", self.visual_taps), ("text_taps", self.text_taps)):
            increasing = all(low < high for low, high in pairwise(taps))
            if not increasing or any(not 0 <= tap <= self.depth for tap in taps):
                raise ValueError(f"{name}: got {taps}, expected strictly increasing numbers in 0..{self.depth} (depth)")
        if self.prompt_length < 0:
            raise ValueError(f"prompt_length: got {self.prompt_length}, expected 0 or more")


@dataclass(frozen=True)
class LoraSettings:
    """The low-rank update `W + (alpha / rank) B A` of the attention projections.

    `targets` are module name suffixes as PEFT reads them; None stands for the family's own: query, key, value and
    output of every stream. `exclude` takes modules out again, by suffix or whole name. `init` is PEFT's: "gaussian", or
    True for its default. B starts at zero either way.
    """

    rank: int = 64
    alpha: float | int = 128.0
    targets: tuple[str, ...] | None = None
    dropout: float = 0.0
    init: str | bool = "gaussian"
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank: got {self.rank}, expected at least 1")
        if not abs(self.alpha) <= sys.float_info.max:
            raise ValueError(f"alpha: got {self.alpha!s:.20}, expected a finite number")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout: got {self.dropout}, expected a value in [0, 1)")
        if self.init not in ("gaussian", True):
            raise ValueError(f"init: got {self.init!r}, expected 'gaussian' or True")
        if self.targets is not None and not self.targets:
            raise ValueError("targets: got none, expected at least one module name (or None for the family's own)")
