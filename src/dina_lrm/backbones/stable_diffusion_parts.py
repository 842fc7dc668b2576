"""The encoders beside a Stable Diffusion U-Net: those of a pipeline in memory, or of a folder, loaded when first used.

SD1.5 and SD2.1 have one CLIP encoder, SDXL has two and knows it by `text_encoder_2`.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias, final

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from dina_lrm.backbones.adapter_state import AdapterScope
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.latents import shift_and_scale
from dina_lrm.backbones.parts import frozen_vae
from dina_lrm.backbones.placement import execution_device
from dina_lrm.backbones.tokens import expect_prompts, joined_cuts, kept_tokens
from dina_lrm.backbones.truncated import stored_variant

Pipeline: TypeAlias = StableDiffusionPipeline | StableDiffusionXLPipeline


class UnetParts(ABC):
    """Where a U-Net backbone gets its VAE and text encoders from."""

    pixels_per_latent: int
    latent_scale: float
    pooled_width: int

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where inputs have to be."""

    @abstractmethod
    def vae(self, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
        """The autoencoder, on `device`."""

    @abstractmethod
    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> Pipeline:
        """A pipeline that can encode prompts, on `device`."""


@final
class PipelineParts(UnetParts):
    """A loaded pipeline's own encoders, wherever it keeps them."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pixels_per_latent = pipeline.vae_scale_factor
        self.latent_scale = _scale(pipeline.vae.config)
        self.pooled_width = (
            pipeline.text_encoder_2.config.projection_dim
            if isinstance(pipeline, StableDiffusionXLPipeline)
            else pipeline.text_encoder.config.hidden_size
        )
        self._pipeline = pipeline

    @property
    def device(self) -> torch.device:
        """Where the model computes, which with offloading is not where its weights wait."""
        return execution_device(self._pipeline, self._pipeline.unet)

    def vae(self, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
        """The pipeline's, as it is."""
        return self._pipeline.vae

    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> Pipeline:
        """The pipeline itself."""
        return self._pipeline


@final
class FolderParts(UnetParts):
    """The encoders of a pipeline folder, each loaded when first asked for; text encoders may lie in another folder."""

    def __init__(self, folder: Path, unet: UNet2DConditionModel, scheduler: SchedulerMixin) -> None:
        vae_config = AutoencoderKL.load_config(folder / "vae")
        self.pixels_per_latent = 2 ** (len(vae_config["block_out_channels"]) - 1)
        self.latent_scale = _scale(vae_config)
        self.pooled_width = _pooled_width(folder)
        self._folder = folder
        self._text_folder = folder
        self._unet, self._scheduler = unet, scheduler
        self._force_upcast = bool(vae_config.get("force_upcast", True))
        self._vae: AutoencoderKL | None = None
        self._pipeline: Pipeline | None = None

    def replace_text_encoders(self, folder: Path) -> None:
        """Take `text_encoder` (and `text_encoder_2`) of `folder` from now on."""
        self._text_folder, self._pipeline = folder, None

    @property
    def device(self) -> torch.device:
        """The U-Net's."""
        return self._unet.device

    def vae(self, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
        """Loaded in `dtype`, or in float32 where float16 would overflow (SDXL's); frozen."""
        if self._vae is None:
            overflows = dtype == torch.float16 and self._force_upcast
            self._vae = frozen_vae(AutoencoderKL, self._folder, torch.float32 if overflows else dtype)
        return self._vae.to(device)

    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> Pipeline:
        """A pipeline of text encoders and tokenizers alone, loaded in `dtype`."""
        if self._pipeline is None:
            absent: dict[str, Any] = {"vae": None, "unet": None, "scheduler": self._scheduler}
            first = {
                "tokenizer": CLIPTokenizer.from_pretrained(self._folder / "tokenizer"),
                "text_encoder": self._encoder(CLIPTextModel, "text_encoder", dtype),
            }
            if (self._folder / "text_encoder_2").is_dir():
                self._pipeline = StableDiffusionXLPipeline(
                    **absent,
                    **first,
                    tokenizer_2=CLIPTokenizer.from_pretrained(self._folder / "tokenizer_2"),
                    text_encoder_2=self._encoder(CLIPTextModelWithProjection, "text_encoder_2", dtype),
                    add_watermarker=False,
                )
            else:
                no_checker: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
                self._pipeline = StableDiffusionPipeline(**absent, **first, **no_checker, requires_safety_checker=False)
        return self._pipeline.to(device)

    def _encoder(self, kind: type[Any], name: str, dtype: torch.dtype) -> nn.Module:
        folder = self._text_folder / name
        encoder: nn.Module
        encoder, found = kind.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, variant=stored_variant(folder), output_loading_info=True
        )
        missing = sorted(found["missing_keys"])
        if missing:
            raise ValueError(f"{folder}: missing tensors {missing[:5]} (at most 5 shown)")
        # Older versions of transformers stored positions; the world's encoder keeps a projection that no U-Net reads
        unread = ("position_ids", "text_projection.weight")
        unexpected = sorted(name for name in found["unexpected_keys"] if not name.endswith(unread))
        if unexpected:
            raise ValueError(f"{folder}: unexpected tensors {unexpected[:5]} (at most 5 shown)")
        return encoder.requires_grad_(False).eval()


def encode_unet_prompts(pipeline: Pipeline, prompts: Sequence[str], device: torch.device) -> Conditioning:
    """The pipeline's own encoding without guidance, with the mask of real tokens and a note of what was cut.

    The pooled vector is that of SDXL's second encoder, projected; of SD1.5 and SD2.1, whose U-Net has no use for it,
    the encoder's output at the end of the prompt, not projected.
    """
    expect_prompts(prompts)
    two = isinstance(pipeline, StableDiffusionXLPipeline)
    names = ("tokenizer", "tokenizer_2") if two else ("tokenizer",)
    tokenizers = [pipeline.components[name] for name in names]
    reports = [
        kept_tokens(f"{name} (CLIP)", tokenizer, prompts, tokenizer.model_max_length)
        for name, tokenizer in zip(names, tokenizers, strict=True)
    ]
    mask = torch.stack([report.mask for report in reports]).any(dim=0)
    embeds, pooled = _encode_without_adapters(pipeline, list(prompts), device)
    return Conditioning(embeds, pooled, mask.to(embeds.device), joined_cuts(reports))


@torch.no_grad()
def _encode_without_adapters(pipeline: Pipeline, prompts: list[str], device: torch.device) -> tuple[Tensor, Tensor]:
    with ExitStack() as stack:
        # A generator's LoRA may cover its text encoders too; the reward was trained on the pretrained ones.
        stack.enter_context(AdapterScope(pipeline.text_encoder).entered())
        if isinstance(pipeline, StableDiffusionXLPipeline):
            stack.enter_context(AdapterScope(pipeline.text_encoder_2).entered())
            embeds, _, pooled, _ = pipeline.encode_prompt(prompts, device=device, do_classifier_free_guidance=False)
            return embeds, pooled
        outputs = stack.enter_context(_recorded(pipeline.text_encoder))
        embeds, _ = pipeline.encode_prompt(prompts, device, 1, False)
        return embeds, outputs[-1].pooler_output


@contextmanager
def _recorded(module: nn.Module) -> Iterator[list[Any]]:
    """What `module` returns inside the context."""
    outputs: list[Any] = []
    handle = module.register_forward_hook(lambda _, given, output: outputs.append(output))
    try:
        yield outputs
    finally:
        handle.remove()


def _pooled_width(folder: Path) -> int:
    two = (folder / "text_encoder_2").is_dir()
    values = json.loads((folder / ("text_encoder_2" if two else "text_encoder") / "config.json").read_text())
    return int(values["projection_dim"] if two else values["hidden_size"])


def _scale(vae_config: Any) -> float:  # noqa: ANN401 - diffusers' frozen dictionary
    # These pipelines scale latents and never shift them, whatever their VAE's configuration holds
    return shift_and_scale(vae_config)[1]
