"""A family whose parts all lie in one diffusers pipeline: what its file says, and what it gets for that.

A family's file names its classes, its lists of blocks and what runs behind them; it says how latents, noise level and
conditioning become the arguments of the transformer's forward (`features`), how the pipeline's text encoders are called
(`encode`) and, for another VAE than the usual one, how that one is. Loading, sharing, adapters and checks are here.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.adapter_state import AdapterScope
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.latents import decode_pixels, encode_pixels, shift_and_scale
from dina_lrm.backbones.parts import FolderParts, Parts, PipelineParts, stored_scheduler
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.backbones.tokens import KeptTokens, composed, joined_cuts, unread_prompts
from dina_lrm.backbones.transformer import TransformerBackbone
from dina_lrm.backbones.truncated import Kept, load_truncated
from dina_lrm.diffusion.from_scheduler import process_from_scheduler
from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.model_folders import loading


class PipelineBackbone(TransformerBackbone):
    """What the families of Stable Diffusion 3, FLUX, Z-Image, SANA and Qwen-Image share."""

    transformer_class: ClassVar[type[ModelMixin]]
    pipeline_class: ClassVar[type[DiffusionPipeline]]
    vae_class: ClassVar[type[ModelMixin]] = AutoencoderKL
    encoder_names: ClassVar[tuple[str, ...]] = ("text_encoder",)
    """Components of the pipeline that a generator's LoRA may cover beside the transformer."""
    behind: ClassVar[tuple[str, ...]]
    """Not loaded."""
    least_prompt_length: ClassVar[int] = 1
    """0 where a pipeline can do without its long text encoder."""

    def __init__(
        self, config: BackboneConfig, process: ForwardProcess, transformer: ModelMixin, parts: Parts, shared: bool
    ) -> None:
        super().__init__(config, process, transformer, shared)
        if config.prompt_length < self.least_prompt_length:
            raise ValueError(
                f"prompt_length: got {config.prompt_length}, family {config.family} needs at least "
                f"{self.least_prompt_length}"
            )
        self._parts = parts
        self.pooled_width = 0
        self.read_vae_config()

    @classmethod
    def from_pipeline(cls, config: BackboneConfig, pipeline: DiffusionPipeline) -> "PipelineBackbone":
        """Read a loaded pipeline's transformer where it is (shared mode)."""
        assert isinstance(pipeline.transformer, cls.transformer_class)
        process = process_from_scheduler(pipeline.scheduler)
        return cls(config, process, pipeline.transformer, cls.pipeline_parts(config, pipeline), shared=True)

    @classmethod
    def from_folder(
        cls, config: BackboneConfig, folder: Path, device: torch.device, dtype: torch.dtype
    ) -> "PipelineBackbone":
        """Load the first `depth` blocks of a pipeline folder (standalone mode); the encoders follow when used."""
        with loading(folder / "transformer"):
            stored = cls.transformer_class.load_config(folder / "transformer")
        kept, shape = cls.kept(config, stored), cls.truncated_shape(config, stored)
        transformer = load_truncated(cls.transformer_class, shape, folder / "transformer", kept, device, dtype)
        process = process_from_scheduler(stored_scheduler(folder))
        return cls(config, process, transformer, cls.folder_parts(config, folder, transformer), shared=False)

    @classmethod
    def pipeline_parts(cls, config: BackboneConfig, pipeline: DiffusionPipeline) -> Parts:
        """Where the VAE and text encoders of a loaded pipeline are."""
        return PipelineParts(pipeline, pipeline.transformer)

    @classmethod
    def folder_parts(cls, config: BackboneConfig, folder: Path, transformer: ModelMixin) -> Parts:
        """Where those of a pipeline folder are."""
        return FolderParts(folder, transformer, cls.pipeline_class, cls.vae_class)

    @classmethod
    def truncated_shape(cls, config: BackboneConfig, stored: dict[str, Any]) -> dict[str, Any]:
        """The configuration of the transformer that is made before the blocks beyond the depth are left out."""
        return stored

    @classmethod
    def kept(cls, config: BackboneConfig, stored: dict[str, Any]) -> Kept:
        """What is loaded of a transformer of the configuration `stored`; ValueError when it has fewer blocks."""
        with torch.device("meta"), loading(Path(config.pretrained)):
            whole = cls.transformer_class.from_config(stored)
        available = cls.block_names(whole)
        if config.depth > len(available):
            raise ValueError(f"depth: got {config.depth}, but {config.pretrained} has {len(available)} blocks")
        used = [name.partition(".")[0] for name in available[: config.depth]]
        more = {name: used.count(name) for name in cls.more_blocks}
        return Kept(cls.blocks, used.count(cls.blocks), cls.behind, more)

    @property
    def device(self) -> torch.device:
        """Where the work is done."""
        return self._parts.device

    def read_vae_config(self) -> None:
        """Set `pixels_per_latent`, `latent_scale` and `latent_shift` from `vae_config`."""
        self.pixels_per_latent = self._parts.pixels_per_latent
        self.latent_shift, self.latent_scale = shift_and_scale(self.vae_config)

    @property
    def vae_config(self) -> Any:  # noqa: ANN401 - a mapping, of diffusers' own type
        """The configuration of the pipeline's VAE."""
        return self._parts.vae_config

    def encode_images(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels h w"]:
        """Scaled latents (float32) of pixels in [-1, 1]."""
        self.check_pixels(pixels)
        return self.encode_pixels(self._parts.vae(self.device, self.dtype), pixels.to(self.device))

    def decode_latents(self, latents: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch 3 height width"]:
        """Pixels (float32) of scaled latents; differentiable."""
        return self.decode_pixels(self._parts.vae(self.device, self.dtype), latents.to(self.device))

    def encode_pixels(self, vae: ModelMixin, pixels: Tensor) -> Tensor:
        """`encode_images` with the VAE at hand."""
        return encode_pixels(vae, pixels)

    def decode_pixels(self, vae: ModelMixin, latents: Tensor) -> Tensor:
        """`decode_latents` with the VAE at hand."""
        return decode_pixels(vae, latents)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """The conditioning of `prompts`, padded or cut to the prompt length; ValueError for anything but strings."""
        texts = composed(prompts)
        with self.prompt_pipeline() as pipeline:
            return self.encode(pipeline, texts)

    @contextmanager
    def prompt_pipeline(self) -> Iterator[DiffusionPipeline]:
        """The pipeline that encodes prompts, with its pretrained text encoders inside."""
        pipeline = self._parts.prompt_pipeline(self.device, self.dtype)
        with ExitStack() as stack:
            for name in self.encoder_names:
                # A generator's LoRA may cover its text encoders too; the reward was trained on the pretrained ones.
                stack.enter_context(AdapterScope(pipeline.components[name]).entered())
            yield pipeline

    def cut_prompts(self, prompts: Sequence[str]) -> tuple[str | None, ...]:
        """What is longer than the prompt length, or than a tokenizer takes."""
        pipeline = self._parts.prompt_pipeline(self.device, self.dtype)
        return joined_cuts(self.kept_tokens(pipeline, composed(prompts)))

    def unread_prompts(self, prompts: Sequence[str]) -> tuple[str | None, ...]:
        """What the tokenizers do not know, and control tokens."""
        return unread_prompts(self._parts.prompt_pipeline(self.device, self.dtype).components, prompts)

    @abstractmethod
    def kept_tokens(self, pipeline: DiffusionPipeline, prompts: list[str]) -> tuple[KeptTokens, ...]:
        """What each of the pipeline's tokenizers keeps of the prompts."""

    @abstractmethod
    def encode(self, pipeline: DiffusionPipeline, prompts: list[str]) -> Conditioning:
        """Call the pipeline's text encoders, without guidance."""

    def check_widths(self, conditioning: Conditioning, width: int) -> None:
        """ValueError for prompts encoded for another model: states not `width` wide, or another pooled vector."""
        pooled = conditioning.pooled_prompt_embeds
        if self.pooled_width and pooled is None:
            raise ValueError(f"conditioning: {self.config.pretrained} needs pooled_prompt_embeds, got None")
        for name, given, wanted in (
            ("prompt_embeds", conditioning.prompt_embeds, width),
            ("pooled_prompt_embeds", pooled if self.pooled_width else None, self.pooled_width),
        ):
            if given is not None and given.shape[-1] != wanted:
                raise ValueError(
                    f"conditioning: {name} is {given.shape[-1]} wide, {self.config.pretrained} takes {wanted}"
                )
