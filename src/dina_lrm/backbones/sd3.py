"""Stable Diffusion 3 and 3.5: joint blocks over image and text tokens, two CLIP encoders and an optional T5.

tokens: CLIP (77 with the released tokenizers) then T5 (`prompt_length`); both CLIP widths side by side, zero-padded
timestep: 1000 t;   time embedding: of the timestep and the pooled CLIP vectors;   latents: 16 channels, patch 2
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.base import BackboneConfig, Conditioning, Features
from dina_lrm.backbones.latents import decode_pixels, encode_pixels, shift_and_scale
from dina_lrm.backbones.parts import Parts
from dina_lrm.backbones.sd3_parts import Sd3PipelineParts, encode_sd3_prompts, sd3_folder_parts, sd3_tokens
from dina_lrm.backbones.taps import TappedRun
from dina_lrm.backbones.tokens import joined_cuts
from dina_lrm.backbones.transformer import TransformerBackbone
from dina_lrm.backbones.truncated import Kept, load_truncated
from dina_lrm.diffusion.from_scheduler import process_from_scheduler
from dina_lrm.diffusion.process import ForwardProcess


@final
class SD3Backbone(TransformerBackbone):
    """SD3 and SD3.5 (Medium: dual attention and qk-norm)."""

    blocks: ClassVar[str] = "transformer_blocks"
    stop_before: ClassVar[str] = "norm_out"
    lora_targets: ClassVar[tuple[str, ...]] = (
        *("to_q", "to_k", "to_v", "to_out.0"),
        *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
    )

    def __init__(
        self,
        config: BackboneConfig,
        process: ForwardProcess,
        transformer: SD3Transformer2DModel,
        parts: Parts,
        shared: bool,
    ) -> None:
        super().__init__(config, process, transformer, shared)
        if config.text_taps and transformer.transformer_blocks[config.text_taps[-1] - 1].context_pre_only:
            raise ValueError(f"text_taps: got {config.text_taps}, but the model's last block returns no text states")
        self._parts = parts
        self.visual_widths = (transformer.inner_dim,) * len(config.visual_taps)
        self.text_widths = (transformer.config.caption_projection_dim,) * len(config.text_taps)
        self.time_embedding_width = transformer.inner_dim
        self.pooled_width = transformer.config.pooled_projection_dim
        self.latent_channels = transformer.config.in_channels
        self.latent_multiple = transformer.config.patch_size
        self.pixels_per_latent = parts.pixels_per_latent
        self.latent_shift, self.latent_scale = shift_and_scale(parts.vae_config)

    @property
    def device(self) -> torch.device:
        """Where the work is done."""
        return self._parts.device

    @classmethod
    def from_pipeline(cls, config: BackboneConfig, pipeline: DiffusionPipeline) -> "SD3Backbone":
        """Read a loaded pipeline's transformer where it is (shared mode)."""
        assert isinstance(pipeline.transformer, SD3Transformer2DModel)
        process = process_from_scheduler(pipeline.scheduler)
        return cls(config, process, pipeline.transformer, Sd3PipelineParts(pipeline, config.prompt_length), shared=True)

    @classmethod
    def from_folder(
        cls, config: BackboneConfig, folder: Path, device: torch.device, dtype: torch.dtype
    ) -> "SD3Backbone":
        """Load the first `depth` blocks of a pipeline folder (standalone mode); the encoders follow when used."""
        stored = SD3Transformer2DModel.load_config(folder / "transformer")
        if config.depth > stored["num_layers"]:
            raise ValueError(f"depth: got {config.depth}, but {config.pretrained} has {stored['num_layers']} blocks")
        # The last block of a model lacks the text stream's output: build one more than is kept.
        shape = {**stored, "num_layers": min(config.depth + 1, stored["num_layers"])}
        kept = Kept(cls.blocks, config.depth, dropped=("norm_out", "proj_out"))
        transformer = load_truncated(SD3Transformer2DModel, shape, folder / "transformer", kept, device, dtype)
        scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler")
        parts = sd3_folder_parts(folder, transformer, config.prompt_length)
        return cls(config, process_from_scheduler(scheduler), transformer, parts, shared=False)

    def arguments(self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> dict[str, Any]:
        """Those of `StableDiffusion3Pipeline`."""
        pooled = conditioning.pooled_prompt_embeds
        if pooled is None:
            raise ValueError("conditioning: SD3 needs pooled_prompt_embeds, got None")
        self._check_widths(conditioning.prompt_embeds, pooled)
        device, dtype = self.device, self.dtype
        return {
            "hidden_states": noisy_latents.to(device, dtype),
            "encoder_hidden_states": conditioning.prompt_embeds.to(device, dtype),
            "pooled_projections": pooled.to(device, dtype),
            "timestep": self.process.timestep_from_noise_level(noise_level.to(device, torch.float32)),
        }

    def read(self, run: TappedRun, noisy_latents: Tensor, conditioning: Conditioning) -> Features:
        """A block returns (text, visual); `temb` is the time embedding."""
        visual = {n: states[1] for n, states in run.outputs.items()} | {0: run.inputs["hidden_states"]}
        text = {n: states[0] for n, states in run.outputs.items()} | {0: run.inputs["encoder_hidden_states"]}
        mask, pooled = conditioning.prompt_mask, conditioning.pooled_prompt_embeds
        assert pooled is not None
        return Features(
            tuple(visual[tap] for tap in self.config.visual_taps),
            tuple(text[tap] for tap in self.config.text_taps),
            run.inputs["temb"],
            None if mask is None else mask.to(self.device),
            pooled_text=pooled.to(self.device, self.dtype),
        )

    def velocity_of(self, output: Tensor, noisy_latents: Tensor, noise_level: Tensor) -> Tensor:
        """The output itself."""
        return output

    def encode_images(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels h w"]:
        """Scaled latents (float32) of pixels in [-1, 1]."""
        self.check_pixels(pixels)
        return encode_pixels(self._parts.vae(self.device, self.dtype), pixels.to(self.device))

    def decode_latents(self, latents: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch 3 height width"]:
        """Pixels (float32) of scaled latents; differentiable."""
        return decode_pixels(self._parts.vae(self.device, self.dtype), latents.to(self.device))

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """CLIP and T5 states of the prompts, without guidance."""
        pipeline = self._parts.prompt_pipeline(self.device, self.dtype)
        return encode_sd3_prompts(pipeline, prompts, self.config.prompt_length, self.device)

    def cut_prompts(self, prompts: Sequence[str]) -> tuple[str | None, ...]:
        """What is longer than CLIP's tokenizers take, or T5 is given."""
        pipeline = self._parts.prompt_pipeline(self.device, self.dtype)
        return joined_cuts(sd3_tokens(pipeline, prompts, self.config.prompt_length))

    def _check_widths(self, prompt_embeds: Tensor, pooled: Tensor) -> None:
        config = self.transformer.config
        for name, given, wanted in (
            ("prompt_embeds", prompt_embeds.shape[-1], config.joint_attention_dim),
            ("pooled_prompt_embeds", pooled.shape[-1], config.pooled_projection_dim),
        ):
            if given != wanted:
                raise ValueError(f"conditioning: {name} is {given} wide, {self.config.pretrained} takes {wanted}")
