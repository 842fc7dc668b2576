"""What lies beside a transformer or U-Net: in a loaded pipeline, or in a folder, where it is loaded when first used."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import diffusers
import torch
from diffusers import DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import nn

from dina_lrm.backbones.dtype_argument import for_diffusers
from dina_lrm.backbones.pipeline_folder import load_pipeline
from dina_lrm.backbones.placement import execution_device
from dina_lrm.backbones.unwrapped import unwrapped
from dina_lrm.backbones.weight_files import stored_variant
from dina_lrm.model_folders import INDEX, loading
from dina_lrm.runs.json_files import read_diffusers_config, read_json_object
from dina_lrm.typed import DinaError


class Parts(ABC):
    """Where a backbone gets its VAE and text encoders from."""

    vae_config: Mapping[str, Any]

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where inputs have to be."""

    @abstractmethod
    def vae(self, device: torch.device, dtype: torch.dtype) -> ModelMixin:
        """The autoencoder, on `device`."""

    @abstractmethod
    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> DiffusionPipeline:
        """A pipeline that can encode prompts, on `device`."""

    @abstractmethod
    def short_tokens(self) -> int:
        """Tokens that the first tokenizer, CLIP's, pads prompts to."""

    @abstractmethod
    def loaded(self) -> dict[str, nn.Module]:
        """The modules that are in memory, by name."""


class ExchangeableParts(Parts):
    """Parts whose text encoders may lie in another folder."""

    @abstractmethod
    def replace_text_encoders(self, folder: Path) -> None:
        """Take the text encoders of `folder` from now on."""


@final
class PipelineParts(Parts):
    """A loaded pipeline's own, wherever it keeps them; `model` is its transformer or U-Net.

    Prompts are encoded without the components that are `absent`, by a pipeline of `pipeline_class` where there are any.
    """

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        model: ModelMixin,
        pipeline_class: type[DiffusionPipeline] = DiffusionPipeline,
        absent: Sequence[str] = (),
    ) -> None:
        self.vae_config = pipeline.vae.config
        self._pipeline, self._model = pipeline, model
        self._pipeline_class, self._absent = pipeline_class, dict.fromkeys(absent)

    @property
    def device(self) -> torch.device:
        """Where the model computes, which with offloading is not where its weights wait."""
        return execution_device(self._pipeline, self._model)

    def vae(self, device: torch.device, dtype: torch.dtype) -> ModelMixin:
        """The pipeline's, as it is."""
        return self._pipeline.vae

    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> DiffusionPipeline:
        """The pipeline itself, or one of its models out of wrappers, without those that are to be absent."""
        components = self._pipeline.components
        # Pipelines ask their models for configurations, which not all wrappers of trainers hand on
        inner = {name: unwrapped(part) for name, part in components.items() if isinstance(part, nn.Module)}
        changed = {name: part for name, part in {**inner, **self._absent}.items() if components[name] is not part}
        return self._pipeline_class(**{**components, **changed}) if changed else self._pipeline

    def short_tokens(self) -> int:
        """As the pipeline's own; that of all released ones where it was taken out."""
        tokenizer = self._pipeline.tokenizer
        return 77 if tokenizer is None else int(tokenizer.model_max_length)

    def loaded(self) -> dict[str, nn.Module]:
        """All of the pipeline."""
        return _modules(self._pipeline)


class FolderParts(Parts):
    """Parts of a pipeline folder, frozen; each is loaded when first asked for. `model` is what is read."""

    upcast_vae: bool = False
    """Whether the autoencoder computes in float32 where it is asked for in float16, which would overflow."""

    def __init__(self, folder: Path, model: ModelMixin, vae_class: type[ModelMixin]) -> None:
        with loading(folder / "vae"):
            self.vae_config = vae_class.load_config(folder / "vae")
        self._folder, self._model, self._vae_class = folder, model, vae_class
        self._vae: ModelMixin | None = None
        self._pipeline: DiffusionPipeline | None = None

    @property
    def device(self) -> torch.device:
        """The model's; that of its weights, since nothing else places what was loaded here.

        diffusers' own property looks for offloading in every module, three times a pass: a fifth of a small model's.
        """
        return next(self._model.parameters()).device

    def vae(self, device: torch.device, dtype: torch.dtype) -> ModelMixin:
        """Loaded in `dtype`, or in float32 where that overflows."""
        if self._vae is None:
            dtype = torch.float32 if self.upcast_vae and dtype == torch.float16 else dtype
            self._vae = frozen_vae(self._vae_class, self._folder, dtype)
        return self._vae.to(device)

    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> DiffusionPipeline:
        """A pipeline for prompts, loaded in `dtype`."""
        if self._pipeline is None:
            self._pipeline = self.load_prompt_pipeline(dtype)
        return self._pipeline.to(device)

    def short_tokens(self) -> int:
        """As the folder's tokenizer says."""
        path = self._folder / "tokenizer" / "tokenizer_config.json"
        length = read_json_object(path).get("model_max_length")
        if not isinstance(length, int) or isinstance(length, bool) or length < 1:
            raise DinaError(f"{path}: model_max_length is {length!r}; accepted: the tokens of CLIP's text encoder")
        return length

    def loaded(self) -> dict[str, nn.Module]:
        """What was asked for so far."""
        found = {} if self._pipeline is None else _modules(self._pipeline)
        return found if self._vae is None else {**found, "vae": self._vae}

    @abstractmethod
    def load_prompt_pipeline(self, dtype: torch.dtype) -> DiffusionPipeline:
        """A pipeline that can encode prompts, its text encoders loaded in `dtype`."""


@final
class TransformerFolderParts(FolderParts):
    """Parts of a pipeline folder that holds a transformer; `absent` components of the pipeline are not loaded."""

    def __init__(
        self,
        folder: Path,
        model: ModelMixin,
        pipeline_class: type[DiffusionPipeline],
        vae_class: type[ModelMixin],
        absent: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, model, vae_class)
        self._pipeline_class, self._absent = pipeline_class, dict.fromkeys(absent)

    def load_prompt_pipeline(self, dtype: torch.dtype) -> DiffusionPipeline:
        """One of our transformer, which some ask for its configuration, and the text encoders."""
        given = {"transformer": self._model, "vae": None, **self._absent}
        return load_pipeline(self._folder, dtype, given, self._pipeline_class)

    def whole_pipeline(self, device: torch.device, dtype: torch.dtype, *, text_encoders: bool) -> DiffusionPipeline:
        """One with the autoencoder too, frozen; without `text_encoders` it has none of them."""
        names = [name for name in read_json_object(self._folder / INDEX) if name.startswith("text_encoder")]
        absent = {**self._absent, **({} if text_encoders else dict.fromkeys(names))}
        vae = frozen_vae(self._vae_class, self._folder, dtype)
        given = {"transformer": self._model, "vae": vae, **absent}
        pipeline = load_pipeline(self._folder, dtype, given, self._pipeline_class)
        for part in _modules(pipeline).values():
            part.requires_grad_(False).eval()
        return pipeline.to(device)


def _modules(pipeline: DiffusionPipeline) -> dict[str, nn.Module]:
    return {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}


def frozen_vae(vae_class: type[ModelMixin], folder: Path, dtype: torch.dtype) -> Any:  # noqa: ANN401 - a `vae_class`
    """The autoencoder of a pipeline folder, whichever variant of its weights is stored, frozen."""
    place = folder / "vae"
    variant = stored_variant(place)
    with loading(place):
        vae = vae_class.from_pretrained(place, **for_diffusers(dtype), use_safetensors=True, variant=variant)
    return vae.requires_grad_(False).eval()


def has_component(folder: Path, name: str) -> bool:
    """Whether the pipeline in `folder` lists the component `name`, and as something."""
    return read_json_object(folder / INDEX).get(name, [None, None]) not in (None, [None, None])


def stored_scheduler(folder: Path) -> SchedulerMixin:
    """The scheduler of a pipeline folder, of whatever class it is."""
    path = folder / "scheduler" / "scheduler_config.json"
    name = read_diffusers_config(path).get("_class_name")
    scheduler_class = getattr(diffusers, name, None) if isinstance(name, str) and name.endswith("Scheduler") else None
    if scheduler_class is None:
        raise DinaError(f"{path}: _class_name is {name!r}; accepted: a scheduler of diffusers {diffusers.__version__}")
    with loading(path.parent):
        return scheduler_class.from_pretrained(folder, subfolder="scheduler")
