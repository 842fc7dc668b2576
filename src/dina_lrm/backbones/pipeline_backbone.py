"""A family whose parts all lie in one diffusers pipeline beside a transformer: how that is loaded.

A family's file names its classes, its lists of blocks and what runs behind them; it says how latents, noise level and
conditioning become the arguments of the transformer's forward (`arguments`), how the pipeline's text encoders are
called (`encode`) and, for another VAE than the usual one, how that one is (`autoencoder`).
"""

from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin

from dina_lrm.backbones.base import Backbone
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.folder_parts import TransformerFolderParts
from dina_lrm.backbones.parts import PipelineParts, stored_scheduler
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.backbones.t5_in_8_bits import t5_to_round
from dina_lrm.backbones.truncated import Kept, load_truncated
from dina_lrm.backbones.unwrapped import unwrapped_model
from dina_lrm.diffusion.from_scheduler import process_from_scheduler
from dina_lrm.model_folders import loading
from dina_lrm.typed import DinaError


class PipelineBackbone(Backbone):
    """What the families of Stable Diffusion 3, FLUX, Z-Image, SANA and Qwen-Image share."""

    transformer_class: ClassVar[type[ModelMixin]]
    pipeline_class: ClassVar[type[DiffusionPipeline]]

    @classmethod
    def from_pipeline(cls, config: BackboneConfig, pipeline: DiffusionPipeline) -> "PipelineBackbone":
        """Read a loaded pipeline's transformer where it is (shared mode)."""
        transformer = unwrapped_model(pipeline.transformer, cls.transformer_class)
        process = process_from_scheduler(pipeline.scheduler)
        absent = () if config.prompt_length else cls.long_encoder
        parts = PipelineParts(pipeline, transformer, cls.pipeline_class, absent)
        return cls(config, process, transformer, parts, shared=True)

    @classmethod
    def from_folder(
        cls, config: BackboneConfig, folder: Path, device: torch.device, dtype: torch.dtype
    ) -> "PipelineBackbone":
        """Load the first `depth` blocks of a pipeline folder (standalone mode); the encoders follow when used."""
        stored, kept = cls.stored_part(config, folder)
        transformer = load_truncated(cls.transformer_class, stored, folder / "transformer", kept, device, dtype)
        process = process_from_scheduler(stored_scheduler(folder))
        absent = cls.components_left_out(config, folder)
        vae_class = cls.autoencoder.model_class
        rounded = t5_to_round(folder, absent) if config.t5_weights == "8bit" else ()
        parts = TransformerFolderParts(folder, transformer, cls.pipeline_class, vae_class, absent, rounded)
        return cls(config, process, transformer, parts, shared=False)

    @classmethod
    def stored_part(cls, config: BackboneConfig, folder: Path) -> tuple[dict[str, Any], Kept]:
        """The transformer's configuration and what is loaded of it; ValueError when it has fewer blocks."""
        with loading(folder / "transformer"):
            stored = cls.transformer_class.load_config(folder / "transformer")
        with torch.device("meta"), loading(Path(config.pretrained)):
            whole = cls.transformer_class.from_config(stored)
        available = cls.block_names(whole)
        if config.depth > len(available):
            raise DinaError(f"depth: got {config.depth}, but {config.pretrained} has {len(available)} blocks")
        used = [name.partition(".")[0] for name in available[: config.depth]]
        more = {name: used.count(name) for name in cls.more_blocks}
        return stored, Kept(cls.blocks, used.count(cls.blocks), cls.behind, more)

    def as_pipeline(self, *, text_encoders: bool = True) -> DiffusionPipeline:
        """A pipeline of this backbone's weights and what lies beside them, for others to read (standalone mode)."""
        assert isinstance(self._parts, TransformerFolderParts)
        return self._parts.whole_pipeline(self.device, self.dtype, text_encoders=text_encoders)

    def check_widths(self, conditioning: Conditioning, width: int) -> None:
        """ValueError for prompts encoded for another model: states not `width` wide, or another pooled vector."""
        pooled = conditioning.pooled_prompt_embeds
        if self.pooled_width and pooled is None:
            raise DinaError(f"conditioning: {self.config.pretrained} needs pooled_prompt_embeds, got None")
        for name, given, wanted in (
            ("prompt_embeds", conditioning.prompt_embeds, width),
            ("pooled_prompt_embeds", pooled if self.pooled_width else None, self.pooled_width),
        ):
            if given is not None and given.shape[-1] != wanted:
                raise DinaError(
                    f"conditioning: {name} is {given.shape[-1]} wide, {self.config.pretrained} takes {wanted}"
                )
