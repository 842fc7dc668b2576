"""What lies beside a transformer or U-Net: in a loaded pipeline, or in a folder, where it is loaded when first used."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from dina_lrm.backbones.dtype_argument import for_diffusers
from dina_lrm.backbones.pipeline_folder import load_pipeline
from dina_lrm.backbones.placement import execution_device
from dina_lrm.backbones.weight_files import stored_variant
from dina_lrm.model_folders import loading
from dina_lrm.runs.json_files import read_diffusers_config


class Parts(ABC):
    """Where a backbone gets its VAE and text encoders from."""

    vae_config: Mapping[str, Any]

    @property
    def pixels_per_latent(self) -> int:
        """Of an `AutoencoderKL`: it halves the side between two of its resolutions."""
        return 2 ** (len(self.vae_config["block_out_channels"]) - 1)

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


class PipelineParts(Parts):
    """A loaded pipeline's own, wherever it keeps them; `model` is its transformer or U-Net."""

    def __init__(self, pipeline: DiffusionPipeline, model: ModelMixin) -> None:
        self.vae_config = pipeline.vae.config
        self._pipeline, self._model = pipeline, model

    @property
    def device(self) -> torch.device:
        """Where the model computes, which with offloading is not where its weights wait."""
        return execution_device(self._pipeline, self._model)

    def vae(self, device: torch.device, dtype: torch.dtype) -> ModelMixin:
        """The pipeline's, as it is."""
        return self._pipeline.vae

    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> DiffusionPipeline:
        """The pipeline itself."""
        return self._pipeline


class FolderParts(Parts):
    """Those of a pipeline folder, frozen; each is loaded when first asked for. `model` is what is read.

    `absent` components of the pipeline are not loaded.
    """

    def __init__(
        self,
        folder: Path,
        model: ModelMixin,
        pipeline_class: type[DiffusionPipeline],
        vae_class: type[ModelMixin],
        absent: Sequence[str] = (),
    ) -> None:
        with loading(folder / "vae"):
            self.vae_config = vae_class.load_config(folder / "vae")
        self._folder, self._model = folder, model
        self._pipeline_class, self._vae_class = pipeline_class, vae_class
        self._absent = dict.fromkeys(absent)
        self._vae: ModelMixin | None = None
        self._pipeline: DiffusionPipeline | None = None

    @property
    def device(self) -> torch.device:
        """The model's."""
        return self._model.device

    def vae(self, device: torch.device, dtype: torch.dtype) -> ModelMixin:
        """Loaded in `dtype`."""
        if self._vae is None:
            self._vae = frozen_vae(self._vae_class, self._folder, dtype)
        return self._vae.to(device)

    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> DiffusionPipeline:
        """A pipeline for prompts, loaded in `dtype`."""
        if self._pipeline is None:
            self._pipeline = self.load_prompt_pipeline(dtype)
        return self._pipeline.to(device)

    def load_prompt_pipeline(self, dtype: torch.dtype) -> DiffusionPipeline:
        """A pipeline of our transformer (which some ask for its configuration) and the text encoders in `dtype`."""
        given = {"transformer": self._model, "vae": None, **self._absent}
        return load_pipeline(self._folder, dtype, given, self._pipeline_class)


def frozen_vae(vae_class: type[ModelMixin], folder: Path, dtype: torch.dtype) -> Any:  # noqa: ANN401 - a `vae_class`
    """The autoencoder of a pipeline folder, whichever variant of its weights is stored, frozen."""
    place = folder / "vae"
    variant = stored_variant(place)
    with loading(place):
        vae = vae_class.from_pretrained(place, **for_diffusers(dtype), use_safetensors=True, variant=variant)
    return vae.requires_grad_(False).eval()


def stored_scheduler(folder: Path) -> SchedulerMixin:
    """The scheduler of a pipeline folder, of whatever class it is."""
    path = folder / "scheduler" / "scheduler_config.json"
    name = read_diffusers_config(path).get("_class_name")
    scheduler_class = getattr(diffusers, name, None) if isinstance(name, str) and name.endswith("Scheduler") else None
    if scheduler_class is None:
        raise ValueError(f"{path}: _class_name is {name!r}; accepted: a scheduler of diffusers {diffusers.__version__}")
    with loading(path.parent):
        return scheduler_class.from_pretrained(folder, subfolder="scheduler")
