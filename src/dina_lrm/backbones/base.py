"""The backbone: a pretrained generator read as a feature extractor, `(x_t, t, conditioning) -> features`.

Everything a model family does its own way (layout and scaling of latents, unit of the timestep, text encoders, prompt
length, names of its blocks) stays behind this class. A noise level `t` in [0, 1] and latents in the generator's own
scaled space are all that the rest of the library sees.

A backbone runs in one of two modes:

- standalone: it owns the first `depth` blocks of the transformer, and nothing beyond them was loaded;
- shared: it reads a generator that somebody else owns (`pipeline=`). No weight is copied, only the reward LoRA is new,
  and outside `features` the generator behaves as if the backbone did not exist.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.diffusion.process import ForwardProcess


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
