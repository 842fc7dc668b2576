"""Stable Diffusion 3 without its T5 encoder, which is the largest part of it and may be left out."""

from pathlib import Path
from typing import Any, Final, final

import torch
from diffusers import DiffusionPipeline, StableDiffusion3Pipeline

from dina_lrm.backbones.parts import PipelineParts
from dina_lrm.runs.json_files import read_json_object

T5: Final = ("text_encoder_3", "tokenizer_3")
"""Components of the pipeline."""


@final
class PartsWithoutT5(PipelineParts):
    """A loaded pipeline's own, seen without T5."""

    def __init__(self, pipeline: StableDiffusion3Pipeline) -> None:
        super().__init__(pipeline, pipeline.transformer)

    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> DiffusionPipeline:
        """One of the same components, without T5; the pipeline itself where it has none."""
        pipeline = self._pipeline
        if pipeline.text_encoder_3 is None:
            return pipeline
        return StableDiffusion3Pipeline(**{**pipeline.components, **dict.fromkeys(T5)})


def without_t5(folder: Path) -> dict[str, None]:
    """What `from_pretrained` of this pipeline folder is told to leave T5 out; nothing where it knows no T5."""
    return dict.fromkeys(name for name in T5 if name in _index(folder))


def has_t5(folder: Path) -> bool:
    """Whether a pipeline folder has a T5 encoder."""
    return _index(folder).get("text_encoder_3", [None, None]) not in (None, [None, None])


def _index(folder: Path) -> dict[str, Any]:
    return read_json_object(folder / "model_index.json")
