"""Options that several commands share, each said once: where to compute, how a reward model is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from tyro.conf import FlagCreatePairsOff

from dina_lrm.backbones.settings import EncoderSettings, T5Weights
from dina_lrm.console.common import UserError
from dina_lrm.console.levels import parsed_levels
from dina_lrm.precision import Precision, default_device

if TYPE_CHECKING:
    import torch

DtypeName = Literal["auto", "float32", "bfloat16"]
Own = TypeVar("Own")
_PRECISIONS: Final[Mapping[str, Precision]] = {"float32": "fp32", "bfloat16": "bf16"}


@dataclass(kw_only=True)
class PlaceOptions:
    """Where a command computes."""

    device: str | None = None
    """Where to compute: cuda, cuda:1, xpu, mps or cpu; by default the first of these that there is."""

    def place(self) -> str:
        """The device that was named, or the first there is. Raises UserError for one that there is not."""
        return chosen_device(self.device)


@dataclass(kw_only=True)
class DeviceOptions(PlaceOptions):
    """Where a command computes, and in what type of number."""

    dtype: DtypeName = "auto"
    """What the generator's weights are held and multiplied in. auto: bfloat16 on a GPU that multiplies it natively,
    else float32; what learns is float32 always."""

    def torch_dtype(self) -> torch.dtype | None:
        """The type that was asked for, None for the hardware's own."""
        import torch

        return None if self.dtype == "auto" else getattr(torch, self.dtype)

    def precision(self, own: Own) -> Precision | Own:
        """The same as a setting; `own` where nothing was asked for."""
        return own if self.dtype == "auto" else _PRECISIONS[self.dtype]


@dataclass(kw_only=True)
class OffloadOptions:
    """How text encoders are held where memory is short, without a change of what they say."""

    offload_encoders: FlagCreatePairsOff[bool] = False
    """Leave text encoders in the host's memory, mapped from their files; each block goes to the device while it runs.
    They are loaded one at a time in any case where they would not fit together."""

    def encoders(self) -> EncoderSettings:
        """The same as a setting."""
        return EncoderSettings(offload=self.offload_encoders)


@dataclass(kw_only=True)
class EncoderOptions(OffloadOptions):
    """How text encoders and autoencoder are held where memory is short."""

    t5_weights: T5Weights | None = None
    """How T5 is held: as stored, or rounded to 8 bits (needs torchao), which halves its memory and changes what it says
    of prompts. By default as the model says, or else as stored."""


@dataclass(kw_only=True)
class ModelOptions(DeviceOptions):
    """How a stored reward model is loaded."""

    backbone: str | None = None
    """Where the generator is, a folder or hub id, when it is not where the model says."""


@dataclass(kw_only=True)
class AnnotatorOptions:
    """Whose model is meant, where a folder holds those of several people."""

    annotator: str | None = None
    """Of a --model folder that `train --annotator` wrote: whose model, by name or number."""


@dataclass(kw_only=True)
class ReadingOptions(ModelOptions):
    """How a stored reward model is loaded, and at which noise levels it reads."""

    noise_level: float | None = None
    """Noise level in [0, 1]; by default the one stored with the model."""
    ensemble: str | None = None
    """Several noise levels read together, such as 0.2,0.5,0.7."""
    seed: int = 0
    """Seed of the noise; images of a size see the same."""
    revision: str | None = None
    """Revision of a hub id: a branch, a tag or a commit."""

    def levels(self) -> float | tuple[float, ...] | None:
        """The noise levels that are asked for; None is the model's own."""
        return parsed_levels(self.noise_level, self.ensemble)


def chosen_device(given: str | None) -> str:
    """The device that a user named, or the first there is of cuda, xpu, mps and cpu."""
    import torch

    if given in (None, "auto"):
        return default_device()
    try:
        torch.empty(0, device=given)
    except (RuntimeError, AssertionError) as error:  # builds without CUDA assert
        reason = str(error).splitlines()[0]
        accepted = "auto, cpu, cuda, cuda:1, xpu, mps and other devices of torch"
        raise UserError(f"--device {given}: {reason}; accepted: {accepted}") from error
    return str(given)
