"""The encoders beside a Stable Diffusion U-Net: those of a pipeline in memory, or of a folder.

SD1.5 and SD2.1 have one CLIP encoder, SDXL has two and knows it by `text_encoder_2`.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias, final

import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.dtype_argument import for_transformers
from dina_lrm.backbones.encoder_turns import Seat
from dina_lrm.backbones.folder_parts import FolderParts
from dina_lrm.backbones.parts import ExchangeableParts
from dina_lrm.backbones.tokens import KeptTokens, joined_cuts, kept_tokens
from dina_lrm.backbones.weight_files import stored_variant
from dina_lrm.model_folders import check_model_folder, expect_safetensors, loading
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.typed import DinaError

_ENCODERS: Final[dict[str, type[Any]]] = {
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
}
Pipeline: TypeAlias = StableDiffusionPipeline | StableDiffusionXLPipeline


@final
class UnetFolderParts(FolderParts, ExchangeableParts):
    """Parts of a pipeline folder, without the U-Net; text encoders may lie in another folder."""

    def __init__(self, folder: Path, unet: UNet2DConditionModel, scheduler: SchedulerMixin) -> None:
        super().__init__(folder, unet, AutoencoderKL)
        self._text_folder, self._scheduler = folder, scheduler
        self.upcast_vae = bool(self.vae_config.get("force_upcast", True))  # SDXL's overflows

    def replace_text_encoders(self, folder: Path) -> None:
        """Take `text_encoder` (and `text_encoder_2`) of `folder` from now on."""
        self._text_folder, self._pipeline = folder, None
        self.release()

    def text_encoders(self) -> tuple[str, ...]:
        """One, or SDXL's two."""
        return tuple(name for name in _ENCODERS if (self._folder / name).is_dir())

    def rounded(self) -> tuple[str, ...]:
        """None: none of them is a T5."""
        return ()

    def encoder_place(self, name: str) -> tuple[Path, type[Any]]:
        """CLIP's, in the folder that is in use."""
        return self._text_folder / name, _ENCODERS[name]

    def seated(self, seats: dict[str, Seat]) -> DiffusionPipeline:
        """A pipeline of seats and tokenizers alone."""
        absent: dict[str, Any] = {"vae": None, "unet": None, "scheduler": self._scheduler}
        tokenizers = {name: self._tokenizer(name.replace("text_encoder", "tokenizer")) for name in seats}
        first: dict[str, Any] = {"tokenizer": tokenizers["text_encoder"], "text_encoder": seats["text_encoder"]}
        if "text_encoder_2" in seats:
            second: dict[str, Any] = {
                "tokenizer_2": tokenizers["text_encoder_2"],
                "text_encoder_2": seats["text_encoder_2"],
            }
            return StableDiffusionXLPipeline(**absent, **first, **second, add_watermarker=False)
        no_checker: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
        return StableDiffusionPipeline(**absent, **first, **no_checker, requires_safety_checker=False)

    def _tokenizer(self, name: str) -> CLIPTokenizer:
        with loading(self._folder / name):
            return CLIPTokenizer.from_pretrained(self._folder / name)

    def load_weights(self, name: str, dtype: torch.dtype) -> nn.Module:
        """Strictly: no tensor may be missing, or be there for nothing."""
        folder, kind = self.encoder_place(name)
        encoder: nn.Module
        check_model_folder(folder)
        expect_safetensors(folder)
        variant = stored_variant(folder)
        with loading(folder):
            encoder, found = kind.from_pretrained(
                folder, **for_transformers(dtype), use_safetensors=True, variant=variant, output_loading_info=True
            )
        missing = sorted(found["missing_keys"])
        if missing:
            raise DinaError(f"{folder}: missing tensors {missing[:5]} (at most 5 shown)")
        # Older versions of transformers stored positions; the world's encoder keeps a projection that no U-Net reads
        unread = ("position_ids", "text_projection.weight")
        unexpected = sorted(name for name in found["unexpected_keys"] if not name.endswith(unread))
        if unexpected:
            raise DinaError(f"{folder}: unexpected tensors {unexpected[:5]} (at most 5 shown)")
        return encoder.requires_grad_(False).eval()


def encode_unet_prompts(pipeline: Pipeline, prompts: list[str], device: torch.device) -> Conditioning:
    """The pipeline's own encoding without guidance, with the mask of real tokens and a note of what was cut.

    The pooled vector is that of SDXL's second encoder, projected; of SD1.5 and SD2.1, whose U-Net has no use for it,
    the encoder's output at the end of the prompt, not projected.
    """
    reports = unet_tokens(pipeline, prompts)
    mask = torch.stack([report.mask for report in reports]).any(dim=0)
    embeds, pooled = _embeds_and_pooled(pipeline, prompts, device)
    return Conditioning(embeds, pooled, mask.to(embeds.device), joined_cuts(reports))


def unet_tokens(pipeline: Pipeline, prompts: list[str]) -> tuple[KeptTokens, ...]:
    """What the CLIP tokenizers keep."""
    names = ("tokenizer", "tokenizer_2") if isinstance(pipeline, StableDiffusionXLPipeline) else ("tokenizer",)
    tokenizers = [pipeline.components[name] for name in names]
    return tuple(
        kept_tokens(f"{name} (CLIP)", tokenizer, prompts, tokenizer.model_max_length)
        for name, tokenizer in zip(names, tokenizers, strict=True)
    )


def _embeds_and_pooled(pipeline: Pipeline, prompts: list[str], device: torch.device) -> tuple[Tensor, Tensor]:
    if isinstance(pipeline, StableDiffusionXLPipeline):
        embeds, _, pooled, _ = pipeline.encode_prompt(prompts, device=device, do_classifier_free_guidance=False)
        return embeds, pooled
    with _recorded(pipeline.text_encoder) as outputs:
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


def end_of_resolution(
    block: nn.Module, outputs: Tensor | tuple[Tensor, Sequence[Tensor]]
) -> Float[Tensor, "batch channels height width"]:
    """The map that a down block's or mid block's last layer gives, before it is sampled down."""
    if isinstance(outputs, Tensor):
        return outputs
    _, states = outputs
    # A down block lists the map of each layer, and behind them that of its downsampler
    return states[-1] if vars(block)["_modules"].get("downsamplers") is None else states[-2]


def guidance_embedding(guidance: float, width: int) -> Float[Tensor, "1 width"]:
    """What a U-Net distilled with guidance is told of its scale w: as its pipelines do, waves of 1000 (w - 1).

    The frequencies are those of a timestep's embedding, and an odd width ends with a zero (Meng et al., 2023).
    """
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half))
    angles = 1000 * (guidance - 1) * frequencies
    return F.pad(torch.cat([angles.sin(), angles.cos()]), (0, width % 2))[None]


def stored_pooled_width(folder: Path) -> int:
    """Return the width of the pooled vector of a pipeline folder."""
    two = (folder / "text_encoder_2").is_dir()
    path = folder / ("text_encoder_2" if two else "text_encoder") / "config.json"
    key = "projection_dim" if two else "hidden_size"
    width = read_json_object(path).get(key)
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise DinaError(f"{path}: {key} is {width!r}; accepted: the width of CLIP's pooled vector")
    return width


def pooled_width(pipeline: Pipeline) -> int:
    """Return the width of the pooled vector of a loaded pipeline."""
    if isinstance(pipeline, StableDiffusionXLPipeline):
        return int(pipeline.text_encoder_2.config.projection_dim)
    return int(pipeline.text_encoder.config.hidden_size)
