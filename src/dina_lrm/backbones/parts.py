"""What lies beside a transformer or U-Net: in a loaded pipeline, or in a folder (`folder_parts.py`)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, final

import diffusers
import torch
from diffusers import DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from torch import nn

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.dtype_argument import for_diffusers
from dina_lrm.backbones.placement import execution_device
from dina_lrm.backbones.settings import EncoderSettings
from dina_lrm.backbones.unwrapped import unwrapped
from dina_lrm.backbones.weight_files import stored_variant
from dina_lrm.model_folders import INDEX, loading
from dina_lrm.runs.json_files import read_diffusers_config, read_json_object
from dina_lrm.typed import DinaError

Encode: TypeAlias = Callable[[DiffusionPipeline, list[str]], Conditioning]
"""Of a pipeline and prompts."""


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
        """A pipeline that can encode prompts, on `device`; what it needs for that may not be loaded before it is
        asked.
        """

    @abstractmethod
    def encoded(
        self, encode: Encode, batches: Sequence[list[str]], device: torch.device, dtype: torch.dtype
    ) -> Iterator[Conditioning]:
        """What `encode` makes of each batch by the pipeline that it is given, on `device`."""

    @abstractmethod
    def stay(self, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether text encoders stay in memory between two uses."""

    @abstractmethod
    def load(self, device: torch.device, dtype: torch.dtype) -> None:
        """Load all that there is, to stay."""

    @abstractmethod
    def hold(self, settings: EncoderSettings) -> None:
        """How what is loaded from now on is held."""

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

    def encoded(
        self, encode: Encode, batches: Sequence[list[str]], device: torch.device, dtype: torch.dtype
    ) -> Iterator[Conditioning]:
        """One batch after the other."""
        pipeline = self.prompt_pipeline(device, dtype)
        return (encode(pipeline, batch) for batch in batches)

    def stay(self, device: torch.device, dtype: torch.dtype) -> bool:
        """They are the pipeline's."""
        return True

    def load(self, device: torch.device, dtype: torch.dtype) -> None:
        """All is there."""

    def hold(self, settings: EncoderSettings) -> None:
        """ValueError for anything: the pipeline's owner says how it is held."""
        if settings != EncoderSettings():
            raise DinaError(
                f"encoders: {settings} beside a pipeline in memory; accepted: the pipeline's own way of holding them"
            )

    def short_tokens(self) -> int:
        """As the pipeline's own; that of all released ones where it was taken out."""
        tokenizer = self._pipeline.tokenizer
        return 77 if tokenizer is None else int(tokenizer.model_max_length)

    def loaded(self) -> dict[str, nn.Module]:
        """All of the pipeline."""
        return modules_of(self._pipeline)


def modules_of(pipeline: DiffusionPipeline) -> dict[str, nn.Module]:
    """The components of a pipeline that are modules."""
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
