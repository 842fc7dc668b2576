"""The backbone: a pretrained generator read as a feature extractor, `(x_t, t, conditioning) -> features`.

Everything a model family does its own way (layout and scaling of latents, unit of the timestep, text encoders, prompt
length, names of its blocks) stays behind this class. A noise level `t` in [0, 1] and latents in the generator's own
scaled space are all that the rest of the library sees.

A backbone runs in one of two modes:

- standalone: it owns the first `depth` blocks of the transformer, and nothing beyond them was loaded;
- shared: it reads a generator that somebody else owns (`pipeline=`). No weight is copied, only the reward LoRA is new,
  and outside `features` the generator behaves as if the backbone did not exist.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.diffusion.process import ForwardProcess

__all__ = ["Backbone", "BackboneConfig", "Conditioning", "Features", "LoraSettings"]


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
    prompt_length: int = 128
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


class Backbone(nn.Module, ABC):
    """The contract of every model family.

    How it is used:

    ```python
    conditioning = backbone.encode_prompts(["a red cube"])
    latents = backbone.encode_images(pixels)
    noisy = backbone.process.add_noise(latents, noise, 0.4)
    features = backbone.features(noisy, torch.tensor([0.4]), conditioning)
    ```
    """

    config: BackboneConfig
    process: ForwardProcess
    text_encoders: Path | None = None
    """Folder of the text encoders in use where they are not the generator's own."""
    shared: bool
    """True when the weights belong to a generator's pipeline."""
    visual_widths: tuple[int, ...]
    """Width of the visual tokens at each visual tap."""
    text_widths: tuple[int, ...]
    """Width of the text tokens at each text tap."""
    time_embedding_width: int
    pooled_width: int
    """Width of the prompt's pooled vector; 0 where the family has none."""
    latent_channels: int
    latent_multiple: int
    """Height and width of the latents must be multiples of this (the patch size)."""
    pixels_per_latent: int
    """Side of the square of pixels that one latent position stands for (the VAE's factor)."""
    latent_scale: float | tuple[float, ...]
    latent_shift: float | tuple[float, ...]
    """latents = (the VAE's own - latent_shift) * latent_scale; one number, or one for each channel."""

    @property
    def owner(self) -> nn.Module:
        """The module that is switched while features are read: threads take turns on it."""
        return self

    def check_shared(self) -> None:
        """ValueError when weights that are shared with a generator are not what they were."""

    @property
    @abstractmethod
    def lora_settings(self) -> LoraSettings | None:
        """Of the LoRA in place, its targets spelled out; None without one."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Of the pretrained weights."""

    @abstractmethod
    def features(
        self,
        noisy_latents: Float[Tensor, "batch channels height width"],
        noise_level: Float[Tensor, " levels"],
        conditioning: Conditioning,
    ) -> Features:
        """The tapped states of `noisy_latents` at `noise_level` (one value in [0, 1] for each image).

        Inputs are moved to the backbone's device and dtype. Differentiable with respect to `noisy_latents`.
        Raises ValueError on a wrong number of channels, a size that is no multiple of `latent_multiple`, or batches
        that disagree.
        """

    @abstractmethod
    def velocity(
        self,
        noisy_latents: Float[Tensor, "batch channels height width"],
        noise_level: Float[Tensor, " levels"],
        conditioning: Conditioning,
    ) -> Float[Tensor, "batch channels height width"]:
        """The generator's own prediction as the velocity of `process` (float32), with its adapters as they are.

        Needs the whole generator: shared mode only (ValueError). No classifier-free guidance; FLUX's embedded guidance
        is that of the configuration. Differentiable with respect to latents and to the generator's trained weights.
        """

    @abstractmethod
    def velocity_and_features(
        self,
        noisy_latents: Float[Tensor, "batch channels height width"],
        noise_level: Float[Tensor, " levels"],
        conditioning: Conditioning,
    ) -> tuple[Float[Tensor, "batch channels height width"], Features]:
        """Both from one pass: `velocity`, and the states that the generator itself has at the taps.

        They are `features` wherever the reward leaves the backbone alone and the generator has no adapter active; with
        a reward LoRA they cannot be, which is a ValueError.
        """

    @abstractmethod
    def encode_images(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels h w"]:
        """Scaled latents of pixels in [-1, 1]: the mode of the VAE's posterior, so the same image gives the same."""

    @abstractmethod
    def decode_latents(self, latents: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch 3 height width"]:
        """Pixels, nominally in [-1, 1], of scaled latents. Differentiable."""

    @abstractmethod
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """The conditioning of `prompts`, padded or cut to the stored prompt length; what was cut is recorded."""

    @abstractmethod
    def cut_prompts(self, prompts: Sequence[str]) -> tuple[str | None, ...]:
        """What `encode_prompts` would leave out of each prompt, by its tokens alone: a sentence, or None."""

    def unread_prompts(self, prompts: Sequence[str]) -> tuple[str | None, ...]:
        """What of each prompt is not read as text (unknown characters, control tokens): a sentence, or None."""
        return (None,) * len(prompts)

    def use_text_encoders(self, folder: Path) -> None:
        """Encode prompts with the text encoders in `folder`; ValueError for a family that cannot."""
        raise ValueError(f"{folder}: a backbone of family {self.config.family!r} takes no other text encoders")

    @abstractmethod
    def empty_conditioning(self) -> Conditioning:
        """The encoded empty prompt, one row: what classifier-free guidance is guided away from."""

    @abstractmethod
    def add_lora(self, settings: LoraSettings, seed: int = 0) -> None:
        """Attach a fresh, trainable reward LoRA in float32; its values are a function of `seed`."""

    @abstractmethod
    def load_lora(self, folder: Path) -> None:
        """Attach the LoRA stored in a PEFT folder; a missing, unexpected or misshapen tensor is a ValueError."""

    @abstractmethod
    def save_lora(self, folder: Path) -> None:
        """Write the LoRA as a PEFT folder: `adapter_config.json` and `adapter_model.safetensors`."""

    @abstractmethod
    def lora_state_dict(self) -> dict[str, Tensor]:
        """The LoRA's tensors under PEFT's file names (`base_model.model.....lora_A.weight`)."""

    @abstractmethod
    def load_lora_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy tensors into the LoRA in place; strict about names and shapes (ValueError naming the tensor)."""

    @abstractmethod
    def reward_adapter(self) -> AbstractContextManager[None]:
        """Inside, the model computes with the reward LoRA alone; at the exit everything is exactly as it was.

        `features` enters it by itself. Standalone it does nothing: there the LoRA is always on.
        """

    @abstractmethod
    def merge_lora(self, keep_base: bool = True) -> None:
        """Add the LoRA into the weights, for inference (standalone only).

        `keep_base` holds the original adapted weights in host memory, so that `unmerge_lora` can restore them exactly.
        """

    @abstractmethod
    def unmerge_lora(self) -> None:
        """Undo `merge_lora(keep_base=True)` exactly."""

    @abstractmethod
    def freeze(self) -> None:
        """Train none of the pretrained weights (the state after loading); the LoRA stays trainable."""

    @abstractmethod
    def unfreeze(self) -> None:
        """Train all pretrained weights that `features` uses (standalone only)."""

    @abstractmethod
    def trainable_parameters(self) -> list[nn.Parameter]:
        """The parameters an optimizer should get: the LoRA's, or all after `unfreeze`."""

    @abstractmethod
    def enable_gradient_checkpointing(self) -> None:
        """Recompute block activations in the backward pass instead of keeping them."""

    @abstractmethod
    def set_attention_backend(self, name: str) -> None:
        """Choose one of diffusers' attention backends by its name there."""

    @abstractmethod
    def compile_blocks(self, mode: str | None = None, dynamic: bool | None = None, fullgraph: bool = False) -> None:
        """Compile each block by itself (regional compilation); the arguments are `torch.compile`'s."""
