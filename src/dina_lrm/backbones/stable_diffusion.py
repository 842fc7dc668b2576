"""Stable Diffusion 1.5, 2.1 and XL: U-Nets whose down blocks and mid block are read, and whose up blocks never run.

blocks: down blocks, then the mid block (SD1.5: 4 + 1, SDXL: 3 + 1);   tap n: the map after n blocks, before it is
sampled down, as (height width) tokens;   text tap 0: the prompt's states, which a U-Net reads and never changes
timestep: 1000 t - 1, a real number;   process: of the model's own betas, epsilon or v prediction
time embedding: of the timestep, in SDXL with the image's size and the pooled prompt;   latents: never shifted
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from einops import rearrange
from torch import Tensor

from dina_lrm.backbones.base import Backbone
from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.latents import Autoencoder, KLAutoencoder
from dina_lrm.backbones.parts import Parts, PipelineParts, stored_scheduler
from dina_lrm.backbones.pipeline_sampling import PipelineSampling
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.backbones.stable_diffusion_parts import (
    UnetFolderParts,
    encode_unet_prompts,
    end_of_resolution,
    guidance_embedding,
    pooled_width,
    stored_pooled_width,
    unet_tokens,
)
from dina_lrm.backbones.t5_in_8_bits import t5_to_round
from dina_lrm.backbones.taps import TappedRun
from dina_lrm.backbones.tokens import KeptTokens
from dina_lrm.backbones.truncated import Kept, load_truncated
from dina_lrm.backbones.unwrapped import unwrapped_model
from dina_lrm.diffusion.from_scheduler import process_from_scheduler
from dina_lrm.diffusion.process import RectifiedFlow
from dina_lrm.model_folders import loading
from dina_lrm.typed import DinaError


@final
class StableDiffusionBackbone(Backbone):
    """SD1.5 and SD2.1, and SDXL with its added conditions (image size and pooled prompt)."""

    component: ClassVar[str] = "unet"
    blocks: ClassVar[str] = "down_blocks"
    more_blocks: ClassVar[tuple[str, ...]] = ("mid_block",)
    behind: ClassVar[tuple[str, ...]] = ("up_blocks", "conv_norm_out", "conv_out")
    encoder_names: ClassVar[tuple[str, ...]] = ("text_encoder", "text_encoder_2")
    least_prompt_length: ClassVar[int] = 0
    # These pipelines scale latents and never shift them, whatever their VAE's configuration holds
    autoencoder: ClassVar[Autoencoder] = KLAutoencoder(shifted=False)
    # The compiler asks of sizes that stay open whether they are below a group's, which it cannot know
    open_sizes: ClassVar[bool] = False
    sampling: ClassVar[PipelineSampling] = PipelineSampling(largest_shift=None)
    prompt_width: ClassVar[str] = "cross_attention_dim"
    short_states: ClassVar[bool] = True
    long_states: ClassVar[bool] = False
    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")

    def __init__(
        self,
        config: BackboneConfig,
        scheduler: SchedulerMixin,
        unet: UNet2DConditionModel,
        parts: Parts,
        pooled: int,
        shared: bool,
    ) -> None:
        super().__init__(config, process_from_scheduler(scheduler), unet, parts, shared)
        if config.text_taps not in ((), (0,)):
            raise DinaError(
                f"text_taps: got {config.text_taps}; a U-Net never changes its text states; accepted: () and (0,)"
            )
        widths = unet.config.block_out_channels
        # Tap 0 has the width of the first resolution, the mid block that of the last
        self.visual_widths = tuple((widths[0], *widths, widths[-1])[tap] for tap in config.visual_taps)
        self.text_widths = (unet.config.cross_attention_dim,) * len(config.text_taps)
        self.time_embedding_width = unet.time_embedding.linear_2.out_features
        self.pooled_width = pooled
        self.latent_channels = unet.config.in_channels
        self.latent_multiple = 2 ** (len(widths) - 1)
        self.predicts_noise = _predicts_noise(config, scheduler)
        # A U-Net distilled with its guidance (LCM) gets the scale beside its timestep
        self.guidance_built_in = unet.config.time_cond_proj_dim is not None

    @classmethod
    def from_pipeline(cls, config: BackboneConfig, pipeline: DiffusionPipeline) -> "StableDiffusionBackbone":
        """Read a loaded pipeline's U-Net where it is (shared mode)."""
        unet = unwrapped_model(pipeline.unet, UNet2DConditionModel)
        parts = PipelineParts(pipeline, unet)
        return cls(config, pipeline.scheduler, unet, parts, pooled_width(pipeline), shared=True)

    @classmethod
    def from_folder(
        cls, config: BackboneConfig, folder: Path, device: torch.device, dtype: torch.dtype
    ) -> "StableDiffusionBackbone":
        """Load the first `depth` blocks of a pipeline folder (standalone mode); the encoders follow when used."""
        if config.t5_weights != "stored":
            t5_to_round(folder, ())
        stored, kept = cls.stored_part(config, folder)
        unet = load_truncated(UNet2DConditionModel, stored, folder / "unet", kept, device, dtype)
        scheduler = stored_scheduler(folder)
        parts = UnetFolderParts(folder, unet, scheduler)
        return cls(config, scheduler, unet, parts, stored_pooled_width(folder), shared=False)

    @classmethod
    def stored_part(cls, config: BackboneConfig, folder: Path) -> tuple[dict[str, Any], Kept]:
        """The U-Net's configuration and what is loaded of it; ValueError when it has fewer blocks."""
        with loading(folder / "unet"):
            stored = UNet2DConditionModel.load_config(folder / "unet")
        down = len(stored["down_block_types"])
        if config.depth > down + 1:
            raise DinaError(
                f"depth: got {config.depth}, but {config.pretrained} has {down} down blocks and a mid block"
            )
        dropped = (*cls.behind, *(() if config.depth > down else ("mid_block",)))
        return stored, Kept(cls.blocks, min(config.depth, down), dropped)

    def arguments(self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> dict[str, Any]:
        """Return the arguments that the pipelines of Stable Diffusion and SDXL give the U-Net."""
        self._check_widths(conditioning)
        device, dtype = self.device, self.dtype
        return {
            "sample": noisy_latents.to(device, dtype),
            "timestep": self.process.timestep_from_noise_level(noise_level.to(device, torch.float32)),
            "encoder_hidden_states": conditioning.prompt_embeds.to(device, dtype),
            "timestep_cond": self._guidance_embedding(len(noisy_latents)),
            "added_cond_kwargs": self._added_conditions(noisy_latents, conditioning),
        }

    def read(self, run: TappedRun, noisy_latents: Tensor, conditioning: Conditioning) -> Features:
        """Maps at the taps as tokens, row by row; the time embedding is what the U-Net gives its blocks."""
        device, dtype = self.device, self.dtype
        blocks = {n: self.transformer.get_submodule(name) for n, name in enumerate(self.used_blocks, 1)}
        states = {0: run.inputs["hidden_states"]}
        states |= {n: end_of_resolution(blocks[n], outputs) for n, outputs in run.outputs.items()}
        maps = [states[tap] for tap in self.config.visual_taps]
        mask, pooled = conditioning.prompt_mask, conditioning.pooled_prompt_embeds
        return Features(
            tuple(rearrange(x, "b c h w -> b (h w) c") for x in maps),
            (conditioning.prompt_embeds.to(device, dtype),) * len(self.config.text_taps),
            run.inputs["temb"],
            None if mask is None else mask.to(device),
            grids=tuple((x.shape[-2], x.shape[-1]) for x in maps),
            pooled_text=None if pooled is None else pooled.to(device, dtype),
        )

    def velocity_of(self, output: Tensor, noisy_latents: Tensor, noise_level: Tensor) -> Tensor:
        """The output itself, or the velocity of a predicted noise."""
        if not self.predicts_noise:
            return output
        level = noise_level.to(self.device, torch.float32)
        return self.process.velocity_from_noise(noisy_latents.to(self.device).float(), output.float(), level)

    def kept_tokens(self, pipeline: DiffusionPipeline, prompts: list[str]) -> tuple[KeptTokens, ...]:
        """Say what CLIP's tokenizers keep of prompts."""
        return unet_tokens(pipeline, prompts)

    def encode(self, pipeline: DiffusionPipeline, prompts: list[str]) -> Conditioning:
        """CLIP states of the prompts."""
        return encode_unet_prompts(pipeline, prompts, self.device)

    def encode_unguided(self) -> Conditioning:
        """Zeros in the place of the empty prompt's states where the pipeline says so, as SDXL's do."""
        empty = self.empty_conditioning()
        if not self._parts.prompt_pipeline(self.device, self.dtype).config.get("force_zeros_for_empty_prompt", False):
            return empty
        pooled = empty.pooled_prompt_embeds
        return replace(
            empty,
            prompt_embeds=torch.zeros_like(empty.prompt_embeds),
            pooled_prompt_embeds=None if pooled is None else torch.zeros_like(pooled),
        )

    def _guidance_embedding(self, batch: int) -> Tensor | None:
        if not self.guidance_built_in:
            return None
        width = self.transformer.config.time_cond_proj_dim
        return guidance_embedding(self.config.guidance, width).to(self.device, self.dtype).expand(batch, -1)

    @property
    def _takes_added_conditions(self) -> bool:
        return self.transformer.config.addition_embed_type == "text_time"

    def _added_conditions(self, latents: Tensor, conditioning: Conditioning) -> dict[str, Tensor] | None:
        """SDXL's: the pooled prompt, and the picture's size as it was and is to be, with nothing cropped."""
        if not self._takes_added_conditions:
            return None
        height, width = (side * self.pixels_per_latent for side in latents.shape[-2:])
        sizes = torch.tensor([height, width, 0, 0, height, width], device=self.device, dtype=self.dtype)
        assert conditioning.pooled_prompt_embeds is not None
        pooled = conditioning.pooled_prompt_embeds.to(self.device, self.dtype)
        return {"text_embeds": pooled, "time_ids": sizes.expand(len(latents), -1)}

    def _check_widths(self, conditioning: Conditioning) -> None:
        config, pooled = self.transformer.config, conditioning.pooled_prompt_embeds
        given = [("prompt_embeds", conditioning.prompt_embeds.shape[-1], config.cross_attention_dim)]
        if self._takes_added_conditions:
            if pooled is None:
                raise DinaError("conditioning: SDXL needs pooled_prompt_embeds, got None")
            sizes = 6 * config.addition_time_embed_dim
            wanted = config.projection_class_embeddings_input_dim - sizes
            given.append(("pooled_prompt_embeds", pooled.shape[-1], wanted))
        for name, found, wanted in given:
            if found != wanted:
                raise DinaError(f"conditioning: {name} is {found} wide, {self.config.pretrained} takes {wanted}")


def _predicts_noise(config: BackboneConfig, scheduler: SchedulerMixin) -> bool:
    """Whether the U-Net's own output is the noise, or the velocity of a variance-preserving process."""
    if isinstance(process_from_scheduler(scheduler), RectifiedFlow):
        # Flow schedulers take the output for the velocity, and have no setting for another
        return False
    found = scheduler.config.get("prediction_type", "epsilon")
    if found not in ("epsilon", "v_prediction"):
        raise DinaError(f"{config.pretrained}: prediction_type is {found!r}; accepted: epsilon and v_prediction")
    return found == "epsilon"
