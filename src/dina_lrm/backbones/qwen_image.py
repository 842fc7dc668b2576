"""Qwen-Image: double blocks over image and text with a mask; the text encoder is a Qwen2.5-VL.

latents: 16 channels of a video autoencoder's single frame, shifted and scaled channel by channel, packed 2 x 2
tokens: the prompt behind a fixed instruction, whose states are dropped; padded to `prompt_length`, masked everywhere
time input: t in [0, 1], which the model multiplies by 1000;   time embedding: of the timestep alone
"""

from collections.abc import Mapping
from typing import Any, ClassVar, final

import torch
from diffusers import AutoencoderKLQwenImage, DiffusionPipeline, QwenImagePipeline, QwenImageTransformer2DModel
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.latents import Autoencoder, LatentSpace, lent, packed, unpacked
from dina_lrm.backbones.parts import Parts
from dina_lrm.backbones.pipeline_backbone import PipelineBackbone
from dina_lrm.backbones.pipeline_sampling import PipelineSampling, classifier_free
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.backbones.taps import TappedRun
from dina_lrm.backbones.tokens import KeptTokens, kept_tokens
from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.typed import DinaError


@final
class _VideoAutoencoder(Autoencoder):
    """An image is a video of one frame; latents have a mean and a standard deviation for each channel."""

    model_class: ClassVar[type[ModelMixin]] = AutoencoderKLQwenImage

    def space(self, config: Mapping[str, Any]) -> LatentSpace:
        shift = tuple(float(mean) for mean in config["latents_mean"])
        scale = tuple(1 / float(std) for std in config["latents_std"])
        return LatentSpace(2 ** len(config["temperal_downsample"]), shift, scale)

    def encode(self, vae: ModelMixin, pixels: Tensor) -> Tensor:
        with lent(vae, pixels):
            mode = vae.encode(pixels.to(vae.dtype).unsqueeze(2)).latent_dist.mode().squeeze(2)
        shift, scale = self._shift_and_scale(vae, mode)
        return (mode.float() - shift) * scale

    def decode(self, vae: ModelMixin, latents: Tensor) -> Tensor:
        shift, scale = self._shift_and_scale(vae, latents)
        unscaled = latents.float() / scale + shift
        with lent(vae, latents):
            return vae.decode(unscaled.to(vae.dtype).unsqueeze(2)).sample.squeeze(2).float()

    def _shift_and_scale(self, vae: ModelMixin, latents: Tensor) -> tuple[Tensor, Tensor]:
        space = self.space(vae.config)
        shift, scale = (
            torch.tensor(values, device=latents.device).view(1, -1, 1, 1) for values in (space.shift, space.scale)
        )
        return shift, scale


def _guided_at_length(
    without: Float[Tensor, "batch channels h w"], given: Float[Tensor, "batch channels h w"], guidance: float
) -> Float[Tensor, "batch channels h w"]:
    """Guided, and each token as long as it is without guidance (`true_cfg_scale` of the pipeline)."""
    tokens = packed(classifier_free(without, given, guidance))
    scale = packed(given).norm(dim=-1, keepdim=True) / tokens.norm(dim=-1, keepdim=True)
    return unpacked(tokens * scale, given.shape[-2], given.shape[-1])


@final
class QwenImageBackbone(PipelineBackbone):
    """Qwen-Image (text to image)."""

    transformer_class: ClassVar[type[ModelMixin]] = QwenImageTransformer2DModel
    pipeline_class: ClassVar[type[DiffusionPipeline]] = QwenImagePipeline
    autoencoder: ClassVar[Autoencoder] = _VideoAutoencoder()
    sampling: ClassVar[PipelineSampling] = PipelineSampling(even_sigmas=True, packs=True, guide=_guided_at_length)
    blocks: ClassVar[str] = "transformer_blocks"
    behind: ClassVar[tuple[str, ...]] = ("norm_out", "proj_out")
    prompt_width: ClassVar[str] = "joint_attention_dim"
    lora_targets: ClassVar[tuple[str, ...]] = (
        *("to_q", "to_k", "to_v", "to_out.0"),
        *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
    )

    def __init__(
        self, config: BackboneConfig, process: ForwardProcess, transformer: ModelMixin, parts: Parts, shared: bool
    ) -> None:
        super().__init__(config, process, transformer, parts, shared)
        if transformer.config.get("guidance_embeds"):
            raise DinaError(f"{config.pretrained}: guidance_embeds is on (distilled); accepted: models without")
        self.visual_widths = (transformer.inner_dim,) * len(config.visual_taps)
        self.text_widths = (transformer.inner_dim,) * len(config.text_taps)
        self.time_embedding_width = transformer.inner_dim
        self.latent_channels = transformer.config.in_channels // 4
        self.latent_multiple = 2

    def arguments(self, noisy_latents: Tensor, noise_level: Tensor, conditioning: Conditioning) -> dict[str, Any]:
        """Return the arguments that `QwenImagePipeline` gives the transformer."""
        self.check_widths(conditioning, self.transformer.config.joint_attention_dim)
        device, dtype = self.device, self.dtype
        mask = None if conditioning.prompt_mask is None else conditioning.prompt_mask.to(device)
        batch, _, height, width = noisy_latents.shape
        return {
            "hidden_states": packed(noisy_latents.to(device, dtype)),
            "encoder_hidden_states": conditioning.prompt_embeds.to(device, dtype),
            "encoder_hidden_states_mask": mask,
            "timestep": self.process.timestep_from_noise_level(noise_level.to(device, torch.float32)) / 1000,
            "img_shapes": [[(1, height // 2, width // 2)]] * batch,
        }

    def read(self, run: TappedRun, noisy_latents: Tensor, conditioning: Conditioning) -> Features:
        """A block returns (text, visual); states of masked text tokens mean nothing."""
        states = run.outputs | {0: (run.inputs["encoder_hidden_states"], run.inputs["hidden_states"])}
        mask = conditioning.prompt_mask
        return Features(
            tuple(states[tap][1] for tap in self.config.visual_taps),
            tuple(states[tap][0] for tap in self.config.text_taps),
            run.inputs["temb"],
            None if mask is None else mask.to(self.device),
        )

    def velocity_of(self, output: Tensor, noisy_latents: Tensor, noise_level: Tensor) -> Tensor:
        """The output, unpacked."""
        return unpacked(output, noisy_latents.shape[-2], noisy_latents.shape[-1])

    def kept_tokens(self, pipeline: DiffusionPipeline, prompts: list[str]) -> tuple[KeptTokens, ...]:
        """Say what is kept of prompts in the pipeline's template."""
        length = pipeline.prompt_template_encode_start_idx + self.config.prompt_length
        whole = [pipeline.prompt_template_encode.format(prompt) for prompt in prompts]
        return (kept_tokens("tokenizer (with the pipeline's template)", pipeline.tokenizer, whole, length),)

    def encode_unguided(self) -> Conditioning:
        """The encoded empty prompt."""
        return self.empty_conditioning()

    def encode(self, pipeline: DiffusionPipeline, prompts: list[str]) -> Conditioning:
        """The pipeline pads to the longest of its prompts: here every row goes on to the prompt length."""
        length = self.config.prompt_length
        embeds, mask = pipeline.encode_prompt(prompts, device=self.device, max_sequence_length=length)
        if mask is None:
            mask = torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
        missing = length - embeds.shape[1]
        (kept,) = self.kept_tokens(pipeline, prompts)
        return Conditioning(F.pad(embeds, (0, 0, 0, missing)), None, F.pad(mask.bool(), (0, missing)), kept.cut)
