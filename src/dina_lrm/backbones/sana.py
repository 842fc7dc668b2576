"""SANA: linear attention over image tokens, cross attention to captions that no block changes; a Gemma text encoder.

latents: 32 channels of a deep autoencoder (1/32 of the side), without a shift, patch 1
tokens: the last `prompt_length` positions behind an instruction that the pipeline puts in front of every prompt, masked
timestep: 1000 t times the model's own scale;   time embedding: of the timestep alone, before it is spread over a block

There is no text stream: tap 0 of the text, the projected caption, is the only one.
"""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, final

import torch
from diffusers import AutoencoderDC, DiffusionPipeline, SanaPipeline, SanaTransformer2DModel
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.latents import Autoencoder, LatentSpace, lent
from dina_lrm.backbones.parts import Parts
from dina_lrm.backbones.pipeline_backbone import PipelineBackbone
from dina_lrm.backbones.pipeline_sampling import PipelineSampling
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.backbones.taps import TappedRun
from dina_lrm.backbones.tokens import KeptTokens, kept_tokens
from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.typed import DinaError

_INSTRUCTION: list[str] = inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default
"""What the pipeline itself puts in front of a prompt."""


@final
class _DeepAutoencoder(Autoencoder):
    """Latents are no distribution, and have a scale and no shift."""

    model_class: ClassVar[type[ModelMixin]] = AutoencoderDC

    def space(self, config: Mapping[str, Any]) -> LatentSpace:
        return LatentSpace(2 ** (len(config["encoder_block_out_channels"]) - 1), 0.0, float(config["scaling_factor"]))

    def encode(self, vae: ModelMixin, pixels: Tensor) -> Tensor:
        with lent(vae, pixels):
            return vae.encode(pixels.to(vae.dtype)).latent.float() * vae.config.scaling_factor

    def decode(self, vae: ModelMixin, latents: Tensor) -> Tensor:
        unscaled = latents.float() / vae.config.scaling_factor
        with lent(vae, latents):
            return vae.decode(unscaled.to(vae.dtype)).sample.float()


@final
class SanaBackbone(PipelineBackbone):
    """SANA and SANA-1.5."""

    transformer_class: ClassVar[type[ModelMixin]] = SanaTransformer2DModel
    pipeline_class: ClassVar[type[DiffusionPipeline]] = SanaPipeline
    autoencoder: ClassVar[Autoencoder] = _DeepAutoencoder()
    sampling: ClassVar[PipelineSampling] = PipelineSampling(largest_shift=None)
    blocks: ClassVar[str] = "transformer_blocks"
    behind: ClassVar[tuple[str, ...]] = ("norm_out", "proj_out")
    watched: ClassVar[tuple[str, ...]] = ("time_embed",)
    prompt_width: ClassVar[str] = "caption_channels"
    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")

    def __init__(
        self, config: BackboneConfig, process: ForwardProcess, transformer: ModelMixin, parts: Parts, shared: bool
    ) -> None:
        super().__init__(config, process, transformer, parts, shared)
        if transformer.config.get("guidance_embeds"):
            raise DinaError(f"{config.pretrained}: guidance_embeds is on (SANA-Sprint); accepted: models without")
        if any(config.text_taps):
            raise DinaError(
                f"text_taps: got {config.text_taps}, but SANA's blocks leave captions alone; accepted: (0,)"
            )
        shape = transformer.config
        width = shape.num_attention_heads * shape.attention_head_dim
        self.visual_widths = (width,) * len(config.visual_taps)
        self.text_widths = (width,) * len(config.text_taps)
        self.time_embedding_width = width
        self.latent_channels = shape.in_channels
        self.latent_multiple = shape.patch_size

    def arguments(self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> dict[str, Any]:
        """Return the arguments that `SanaPipeline` gives the transformer."""
        config, device, dtype = self.transformer.config, self.device, self.dtype
        self.check_widths(conditioning, config.caption_channels)
        timestep = self.process.timestep_from_noise_level(noise_level.to(device, torch.float32))
        return {
            "hidden_states": noisy_latents.to(device, dtype),
            "encoder_hidden_states": conditioning.prompt_embeds.to(device, dtype),
            "encoder_attention_mask": None if conditioning.prompt_mask is None else conditioning.prompt_mask.to(device),
            "timestep": timestep * config.timestep_scale,
        }

    def read(self, run: TappedRun, noisy_latents: Tensor, conditioning: Conditioning) -> Features:
        """States of the image at the taps, and the projected caption."""
        visual = run.outputs | {0: run.inputs["hidden_states"]}
        # The module returns what the blocks get, six vectors in one, and the embedding that those are made of.
        _, time_embedding = run.watched["time_embed"]
        mask = conditioning.prompt_mask
        return Features(
            tuple(visual[tap] for tap in self.config.visual_taps),
            (run.inputs["encoder_hidden_states"],) * len(self.config.text_taps),
            time_embedding,
            None if mask is None else mask.to(self.device),
        )

    def velocity_of(self, output: Tensor, noisy_latents: Tensor, noise_level: Tensor) -> Tensor:
        """The output itself, without the variances that some models predict beside it."""
        return output[:, : self.latent_channels]

    def kept_tokens(self, pipeline: DiffusionPipeline, prompts: list[str]) -> tuple[KeptTokens, ...]:
        """Say what is kept of prompts behind the pipeline's instruction."""
        instruction = "\n".join(_INSTRUCTION)
        whole = [instruction + prompt for prompt in pipeline._text_preprocessing(prompts)]
        # The begin mark is among the tokens kept, and among those of the instruction.
        kept = len(pipeline.tokenizer(instruction, verbose=False).input_ids) + self.config.prompt_length - 2
        return (kept_tokens("tokenizer (with the pipeline's instruction)", pipeline.tokenizer, whole, kept),)

    def encode_unguided(self) -> Conditioning:
        """The empty prompt without the instruction."""
        (found,) = self.encoded_by(self._without_instruction, [[""]])
        return found

    def _without_instruction(self, pipeline: DiffusionPipeline, prompts: list[str]) -> Conditioning:
        _, _, embeds, mask = pipeline.encode_prompt(
            prompts,
            do_classifier_free_guidance=True,
            device=self.device,
            max_sequence_length=self.config.prompt_length,
            complex_human_instruction=_INSTRUCTION,
        )
        return Conditioning(embeds, None, mask.bool(), (None,))

    def encode(self, pipeline: DiffusionPipeline, prompts: list[str]) -> Conditioning:
        """Gemma's states of the prompt, read behind the pipeline's instruction; zeros where it is padded."""
        length = self.config.prompt_length
        embeds, mask, _, _ = pipeline.encode_prompt(
            prompts,
            do_classifier_free_guidance=False,
            device=self.device,
            max_sequence_length=length,
            complex_human_instruction=_INSTRUCTION,
        )
        mask = mask.bool()
        return Conditioning(
            embeds.masked_fill(~mask[..., None], 0), None, mask, self.kept_tokens(pipeline, prompts)[0].cut
        )
