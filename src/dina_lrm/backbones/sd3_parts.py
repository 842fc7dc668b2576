"""The encoders beside an SD3 transformer: those of a pipeline in memory, or of a folder, loaded when first used."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import final

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel, StableDiffusion3Pipeline

from dina_lrm.backbones.adapter_state import AdapterScope
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.latents import shift_and_scale
from dina_lrm.backbones.parts import frozen_vae
from dina_lrm.backbones.placement import execution_device
from dina_lrm.backbones.tokens import expect_prompts, joined_cuts, kept_tokens
from dina_lrm.backbones.truncated import stored_variant

_NO_T5 = {"text_encoder_3": None, "tokenizer_3": None}


class Sd3Parts(ABC):
    """Where an SD3 backbone gets its VAE and text encoders from."""

    pixels_per_latent: int
    latent_scale: float
    latent_shift: float

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where inputs have to be."""

    @abstractmethod
    def vae(self, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
        """The autoencoder, on `device`."""

    @abstractmethod
    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> StableDiffusion3Pipeline:
        """A pipeline that can encode prompts, on `device`; without the T5 encoder where it is not to be used."""


@final
class PipelineParts(Sd3Parts):
    """A loaded pipeline's own encoders, wherever it keeps them."""

    def __init__(self, pipeline: StableDiffusion3Pipeline, prompt_length: int) -> None:
        self.pixels_per_latent = pipeline.vae_scale_factor
        self.latent_shift, self.latent_scale = shift_and_scale(pipeline.vae.config)
        self._pipeline = pipeline
        self._prompt_length = prompt_length

    @property
    def device(self) -> torch.device:
        """Where the model computes, which with offloading is not where its weights wait."""
        return execution_device(self._pipeline, self._pipeline.transformer)

    def vae(self, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
        """The pipeline's, as it is."""
        return self._pipeline.vae

    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> StableDiffusion3Pipeline:
        """The pipeline's; for prompt length 0 seen without its T5 encoder, which pads to one token at least."""
        if self._prompt_length > 0 or self._pipeline.text_encoder_3 is None:
            return self._pipeline
        return StableDiffusion3Pipeline(**{**self._pipeline.components, **_NO_T5})


@final
class FolderParts(Sd3Parts):
    """The encoders of a pipeline folder, each loaded when first asked for."""

    def __init__(self, folder: Path, transformer: SD3Transformer2DModel, prompt_length: int) -> None:
        vae_config = AutoencoderKL.load_config(folder / "vae")
        self.pixels_per_latent = 2 ** (len(vae_config["block_out_channels"]) - 1)
        self.latent_shift, self.latent_scale = shift_and_scale(vae_config)
        self._folder = folder
        self._transformer = transformer
        self._without_t5 = prompt_length == 0 or not _has_t5(folder)
        self._vae: AutoencoderKL | None = None
        self._pipeline: StableDiffusion3Pipeline | None = None

    @property
    def device(self) -> torch.device:
        """The transformer's."""
        return self._transformer.device

    def vae(self, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
        """Loaded in `dtype`; frozen."""
        if self._vae is None:
            self._vae = frozen_vae(AutoencoderKL, self._folder, dtype)
        return self._vae.to(device)

    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> StableDiffusion3Pipeline:
        """A pipeline of our transformer (which it asks for widths) and the text encoders, loaded in `dtype`."""
        if self._pipeline is None:
            absent = _NO_T5 if self._without_t5 else {}
            self._pipeline = StableDiffusion3Pipeline.from_pretrained(
                self._folder,
                transformer=self._transformer,
                vae=None,
                dtype=dtype,
                use_safetensors=True,
                variant=stored_variant(self._folder / "text_encoder"),
                **absent,
            )
        return self._pipeline.to(device)


def encode_sd3_prompts(
    pipeline: StableDiffusion3Pipeline, prompts: Sequence[str], prompt_length: int, device: torch.device
) -> Conditioning:
    """The pipeline's own encoding without guidance, with the mask of real tokens and a note of what was cut.

    Raises ValueError for no prompts and for anything that is no string.
    """
    expect_prompts(prompts)
    clip_length = pipeline.tokenizer_max_length
    reports = [
        kept_tokens("tokenizer (CLIP)", pipeline.tokenizer, prompts, clip_length),
        kept_tokens("tokenizer_2 (CLIP)", pipeline.tokenizer_2, prompts, clip_length),
    ]
    clip_mask = reports[0].mask | reports[1].mask
    t5_mask = torch.zeros(len(prompts), prompt_length, dtype=torch.bool)
    if pipeline.text_encoder_3 is not None:
        reports.append(kept_tokens("tokenizer_3 (T5)", pipeline.tokenizer_3, prompts, prompt_length))
        t5_mask = reports[-1].mask
    embeds, pooled = _encode_without_adapters(pipeline, list(prompts), prompt_length, device)
    mask = torch.cat([clip_mask, t5_mask], dim=1).to(embeds.device)
    return Conditioning(embeds, pooled, mask, joined_cuts(reports))


@torch.no_grad()
def _encode_without_adapters(
    pipeline: StableDiffusion3Pipeline, prompts: list[str], prompt_length: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    # A generator's LoRA may cover its CLIP encoders too; the reward was trained on the pretrained ones.
    with AdapterScope(pipeline.text_encoder).entered(), AdapterScope(pipeline.text_encoder_2).entered():
        embeds, _, pooled, _ = pipeline.encode_prompt(
            prompts,
            None,
            None,
            device=device,
            do_classifier_free_guidance=False,
            max_sequence_length=prompt_length,
        )
    return embeds, pooled


def _has_t5(folder: Path) -> bool:
    index = json.loads((folder / "model_index.json").read_text())
    return index.get("text_encoder_3", [None, None])[0] is not None
