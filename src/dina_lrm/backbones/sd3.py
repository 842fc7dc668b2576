"""Stable Diffusion 3 and 3.5: joint blocks over image and text tokens, two CLIP encoders and an optional T5.

tokens: CLIP (77 with the released tokenizers) then T5 (`prompt_length`); both CLIP widths side by side, zero-padded
timestep: 1000 t;   time embedding: of the timestep and the pooled CLIP vectors;   latents: 16 channels, patch 2
"""

from typing import Any, ClassVar, final

import torch
from diffusers import DiffusionPipeline, SD3Transformer2DModel, StableDiffusion3Pipeline
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.parts import Parts
from dina_lrm.backbones.pipeline_backbone import PipelineBackbone
from dina_lrm.backbones.pipeline_sampling import PipelineSampling
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.backbones.t5 import T5
from dina_lrm.backbones.taps import TappedRun
from dina_lrm.backbones.tokens import KeptTokens, joined_cuts, kept_tokens, read_on
from dina_lrm.backbones.unpadded import encoded, ended
from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.typed import DinaError


@final
class SD3Backbone(PipelineBackbone):
    """SD3 and SD3.5 (Medium: dual attention and qk-norm)."""

    transformer_class: ClassVar[type[ModelMixin]] = SD3Transformer2DModel
    pipeline_class: ClassVar[type[DiffusionPipeline]] = StableDiffusion3Pipeline
    encoder_names: ClassVar[tuple[str, ...]] = ("text_encoder", "text_encoder_2")
    blocks: ClassVar[str] = "transformer_blocks"
    behind: ClassVar[tuple[str, ...]] = ("norm_out", "proj_out")
    least_prompt_length: ClassVar[int] = 0
    long_encoder: ClassVar[tuple[str, ...]] = T5
    sampling: ClassVar[PipelineSampling] = PipelineSampling(largest_shift=1.16)
    prompt_width: ClassVar[str] = "joint_attention_dim"
    short_states: ClassVar[bool] = True
    lora_targets: ClassVar[tuple[str, ...]] = (
        *("to_q", "to_k", "to_v", "to_out.0"),
        *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
    )

    def __init__(
        self, config: BackboneConfig, process: ForwardProcess, transformer: ModelMixin, parts: Parts, shared: bool
    ) -> None:
        super().__init__(config, process, transformer, parts, shared)
        if config.text_taps and transformer.transformer_blocks[config.text_taps[-1] - 1].context_pre_only:
            raise DinaError(f"text_taps: got {config.text_taps}, but the model's last block returns no text states")
        self.visual_widths = (transformer.inner_dim,) * len(config.visual_taps)
        self.text_widths = (transformer.config.caption_projection_dim,) * len(config.text_taps)
        self.time_embedding_width = transformer.inner_dim
        self.pooled_width = transformer.config.pooled_projection_dim
        self.latent_channels = transformer.config.in_channels
        self.latent_multiple = transformer.config.patch_size

    def arguments(self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> dict[str, Any]:
        """Return the arguments that `StableDiffusion3Pipeline` gives the transformer."""
        self.check_widths(conditioning, self.transformer.config.joint_attention_dim)
        pooled = conditioning.pooled_prompt_embeds
        assert pooled is not None
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

    def kept_tokens(self, pipeline: DiffusionPipeline, prompts: list[str]) -> tuple[KeptTokens, ...]:
        """Say what the two CLIP tokenizers keep of prompts, and T5's where it is there."""
        length = pipeline.tokenizer_max_length
        clip = (
            kept_tokens("tokenizer (CLIP)", pipeline.tokenizer, prompts, length),
            kept_tokens("tokenizer_2 (CLIP)", pipeline.tokenizer_2, prompts, length),
        )
        if pipeline.text_encoder_3 is None:
            return clip
        return read_on(clip, kept_tokens("tokenizer_3 (T5)", pipeline.tokenizer_3, prompts, self.config.prompt_length))

    def encode_unguided(self) -> Conditioning:
        """The encoded empty prompt."""
        return self.empty_conditioning()

    def encode(self, pipeline: DiffusionPipeline, prompts: list[str]) -> Conditioning:
        """CLIP states, then T5's (zeros without it), and the pooled CLIP vectors."""
        length = self.config.prompt_length
        first, second, *t5 = kept = self.kept_tokens(pipeline, prompts)
        long = t5[0].mask if t5 else torch.zeros(len(prompts), length, dtype=torch.bool)

        def states(texts: list[str], most: int) -> tuple[Tensor, Tensor]:
            embeds, _, pooled, _ = pipeline.encode_prompt(
                texts, None, None, device=self.device, do_classifier_free_guidance=False, max_sequence_length=most
            )
            return embeds, pooled

        embeds, pooled = encoded(states, prompts, length, long if t5 else None, self.config.prompt_padding)
        mask = torch.cat([first.mask | second.mask, long], dim=1).to(embeds.device)
        return Conditioning(ended(embeds, mask, self.config.prompt_padding), pooled, mask, joined_cuts(kept))
