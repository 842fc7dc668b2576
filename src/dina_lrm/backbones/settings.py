"""What a user says of a backbone: which generator is read, and the LoRA that a reward has in it."""

import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from dina_lrm.typed import DinaError

PromptPadding = Literal["max", "none"]
T5Weights = Literal["stored", "8bit"]
PROMPT_LENGTH: Final = 128
"""Tokens of the long text encoder where nothing else is said: as the paper trains (section 5.1)."""


@dataclass(frozen=True)
class BackboneConfig:
    """Which generator is read, how deep, and where.

    A tap `n` is the state after `n` blocks; 0 is the embedding before the first block. Raises ValueError on a depth
    below 1 and on taps that are not strictly increasing within 0..depth.
    """

    family: str
    """The family of generators: sd3, flux, z-image, sana, qwen-image or stable-diffusion."""
    pretrained: str
    """The generator: "synthetic", a folder, or a hub id."""
    depth: int
    """Blocks of the generator that are used."""
    visual_taps: tuple[int, ...]
    """Features are read after that many blocks."""
    text_taps: tuple[int, ...] = ()
    """Features of the prompt are read after that many blocks; none for heads without text."""
    prompt_length: int = PROMPT_LENGTH
    """Tokens of the long text encoder (T5 of SD3 and FLUX); 0 where the model is run without it."""
    revision: str | None = None
    """Revision of a hub id: a branch, a tag or a commit."""
    guidance: float = 3.5
    """What goes into models that have an embedding for guidance (FLUX.1-dev); others do not see it."""
    reading: str = "own"
    """"own" for the way the generator itself is run, or "released" for reward weights trained by the code released with
    the paper, which differs there (FLUX: timestep and guidance unscaled; Z-Image: padding of captions among the text
    tokens)."""
    prompt_padding: PromptPadding = "max"
    """"max" for prompts padded to the prompt length, as generators are trained and run; "none" for those that end
    behind their last token (SD3 and FLUX, which attend to padding): other scores, less memory."""
    t5_weights: T5Weights = "stored"
    """How T5 is held: as its files have it, or rounded to 8 bits when it is loaded, which takes half of the memory and
    gives other numbers: a model is to be used with what its prompts were encoded by."""

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise DinaError(f"depth: got {self.depth}, expected at least 1")
        if not self.visual_taps:
            raise DinaError("visual_taps: got none, expected at least one")
        for name, taps in (("visual_taps", self.visual_taps), ("text_taps", self.text_taps)):
            increasing = all(low < high for low, high in pairwise(taps))
            if not increasing or any(not 0 <= tap <= self.depth for tap in taps):
                raise DinaError(f"{name}: got {taps}, expected strictly increasing numbers in 0..{self.depth} (depth)")
        if self.prompt_length < 0:
            raise DinaError(f"prompt_length: got {self.prompt_length}, expected 0 or more")
        if self.prompt_padding not in ("max", "none"):
            raise DinaError(f"prompt_padding: got {self.prompt_padding!r}; accepted: 'max', 'none'")
        if self.t5_weights not in ("stored", "8bit"):
            raise DinaError(f"t5_weights: got {self.t5_weights!r}, expected 'stored' or '8bit'")


@dataclass(frozen=True)
class EncoderSettings:
    """How a standalone backbone holds its text encoders and autoencoder, which are loaded when they are first used."""

    stay: bool | None = None
    """Whether they stay in memory between two uses. False: one at a time, each read from its files anew; None: they
    stay where all of them take at most half of what is free."""
    offload: bool = False
    """Whether text encoders wait in the host's memory, mapped from their files, and each block goes to the device while
    it runs."""


@dataclass(frozen=True)
class LoraSettings:
    """The low-rank update `W + (alpha / rank) B A` of the attention projections.

    B starts at zero.
    """

    rank: int = 64
    """Rank of the update: of A and B."""
    alpha: float | int = 128.0
    """The update is scaled by alpha / rank."""
    targets: tuple[str, ...] | None = None
    """Suffixes of the names of adapted layers, as PEFT reads them; None = the family's own: query, key, value and
    output of every stream."""
    dropout: float = 0.0
    """Share of the update's inputs that is dropped in training."""
    init: Literal["gaussian", True] = "gaussian"
    """How the factor A begins, as PEFT has it; True is PEFT's default."""
    exclude: tuple[str, ...] = ()
    """Modules that are taken out again, by suffix or whole name."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise DinaError(f"rank: got {self.rank}, expected at least 1")
        if not abs(self.alpha) <= sys.float_info.max:
            raise DinaError(f"alpha: got {self.alpha!s:.20}, expected a finite number")
        if not 0.0 <= self.dropout < 1.0:
            raise DinaError(f"dropout: got {self.dropout}, expected a value in [0, 1)")
        if self.init not in ("gaussian", True):
            raise DinaError(f"init: got {self.init!r}, expected 'gaussian' or True")
        if self.targets is not None and not self.targets:
            raise DinaError("targets: got none, expected at least one module name (or None for the family's own)")
