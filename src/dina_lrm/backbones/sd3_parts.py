"""The encoders beside an SD3 transformer: those of a pipeline in memory, or of a folder, loaded when first used."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, final

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, SD3Transformer2DModel, StableDiffusion3Pipeline

from dina_lrm.backbones.adapter_state import AdapterScope
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.parts import FolderParts, PipelineParts
from dina_lrm.backbones.tokens import KeptTokens, expect_prompts, joined_cuts, kept_tokens

_T5: Final = ("text_encoder_3", "tokenizer_3")


@final
class Sd3PipelineParts(PipelineParts):
    """A loaded pipeline's own; for prompt length 0 seen without its T5 encoder, which pads to one token at least."""

    def __init__(self, pipeline: StableDiffusion3Pipeline, prompt_length: int) -> None:
        super().__init__(pipeline, pipeline.transformer)
        self._prompt_length = prompt_length

    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> DiffusionPipeline:
        """The pipeline, or one of its components without T5."""
        pipeline = self._pipeline
        if self._prompt_length > 0 or pipeline.text_encoder_3 is None:
            return pipeline
        return StableDiffusion3Pipeline(**{**pipeline.components, **dict.fromkeys(_T5)})


def sd3_folder_parts(folder: Path, transformer: SD3Transformer2DModel, prompt_length: int) -> FolderParts:
    """Those of a pipeline folder, without T5 where it has none or none is used."""
    absent = _T5 if prompt_length == 0 or not _has_t5(folder) else ()
    return FolderParts(folder, transformer, StableDiffusion3Pipeline, AutoencoderKL, absent)


def encode_sd3_prompts(
    pipeline: StableDiffusion3Pipeline, prompts: Sequence[str], prompt_length: int, device: torch.device
) -> Conditioning:
    """The pipeline's own encoding without guidance, with the mask of real tokens and a note of what was cut.

    Raises ValueError for no prompts and for anything that is no string.
    """
    first, second, *t5 = reports = sd3_tokens(pipeline, prompts, prompt_length)
    clip_mask = first.mask | second.mask
    t5_mask = t5[0].mask if t5 else torch.zeros(len(prompts), prompt_length, dtype=torch.bool)
    embeds, pooled = _encode_without_adapters(pipeline, list(prompts), prompt_length, device)
    mask = torch.cat([clip_mask, t5_mask], dim=1).to(embeds.device)
    return Conditioning(embeds, pooled, mask, joined_cuts(reports))


def sd3_tokens(pipeline: StableDiffusion3Pipeline, prompts: Sequence[str], prompt_length: int) -> list[KeptTokens]:
    """What the two CLIP tokenizers keep, and T5's where it is there; ValueError as `encode_sd3_prompts`."""
    expect_prompts(prompts)
    clip_length = pipeline.tokenizer_max_length
    reports = [
        kept_tokens("tokenizer (CLIP)", pipeline.tokenizer, prompts, clip_length),
        kept_tokens("tokenizer_2 (CLIP)", pipeline.tokenizer_2, prompts, clip_length),
    ]
    if pipeline.text_encoder_3 is not None:
        reports.append(kept_tokens("tokenizer_3 (T5)", pipeline.tokenizer_3, prompts, prompt_length))
    return reports


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


def without_t5(folder: Path) -> dict[str, None]:
    """What `from_pretrained` of this pipeline folder is told to leave T5 out; nothing where it knows no T5."""
    return dict.fromkeys(name for name in _T5 if name in _index(folder))


def _has_t5(folder: Path) -> bool:
    return _index(folder).get("text_encoder_3", [None, None])[0] is not None


def _index(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "model_index.json").read_text())
    return found
