"""Autoencoder and text encoders of a pipeline folder: each is loaded when it is first used, and stays or goes.

What stays is decided once, by `EncoderSettings` and what is free. Where they go, no two of them are in memory at once:
text encoders take turns over all batches of prompts (`encoder_turns.py`), and the autoencoder is let go before them.
"""

from __future__ import annotations

import copy
import gc
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import torch
from diffusers import DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from dina_lrm.backbones.by_block import casts_exactly, compute_by_block
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.encoder_turns import Seat, encoded_in_turn
from dina_lrm.backbones.free_memory import free_bytes
from dina_lrm.backbones.loads import held_dtype, stored_type, text_encoder_names
from dina_lrm.backbones.mapped_pages import let_pages_go
from dina_lrm.backbones.parts import Encode, Parts, frozen_vae, modules_of
from dina_lrm.backbones.pipeline_folder import component_class, load_component, load_pipeline
from dina_lrm.backbones.settings import EncoderSettings
from dina_lrm.backbones.t5_in_8_bits import load_in_8_bits
from dina_lrm.backbones.weight_files import TRANSFORMERS
from dina_lrm.model_folders import INDEX, check_pipeline_folder, expect_safetensors, loading
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.typed import DinaError

_SMALL: Final = 1 << 30
"""Text encoders of fewer bytes stay without a look at what is free."""


class FolderParts(Parts):
    """Parts of a pipeline folder, frozen. `model` is what is read."""

    upcast_vae: bool = False
    """Whether the autoencoder computes in float32 where it is asked for in float16, which would overflow."""

    def __init__(self, folder: Path, model: ModelMixin, vae_class: type[ModelMixin]) -> None:
        with loading(folder / "vae"):
            self.vae_config = vae_class.load_config(folder / "vae")
        self._folder, self._model, self._vae_class = folder, model, vae_class
        self._settings = EncoderSettings()
        self._vae: ModelMixin | None = None
        self._pipeline: DiffusionPipeline | None = None
        self._encoders: dict[str, nn.Module] = {}

    @property
    def device(self) -> torch.device:
        """The model's; that of its weights, since nothing else places what was loaded here.

        diffusers' own property looks for offloading in every module, three times a pass: a fifth of a small model's.
        """
        return next(self._model.parameters()).device

    def hold(self, settings: EncoderSettings) -> None:
        """What is in memory is let go."""
        self._settings = settings
        self.release()

    def release(self) -> None:
        """Let go of autoencoder and text encoders; they are loaded again when they are asked for."""
        self._vae = None
        self._encoders.clear()
        _collect(self.device)

    def load(self, device: torch.device, dtype: torch.dtype) -> None:
        """Autoencoder and every text encoder, to stay."""
        self._settings = EncoderSettings(stay=True, offload=self._settings.offload)
        self.vae(device, dtype)
        for name in self.text_encoders():
            self._kept_encoder(name, device, dtype)

    def vae(self, device: torch.device, dtype: torch.dtype) -> ModelMixin:
        """Loaded in `dtype`, or in float32 where that overflows."""
        if self._vae is None:
            dtype = torch.float32 if self.upcast_vae and dtype == torch.float16 else dtype
            self._vae = frozen_vae(self._vae_class, self._folder, dtype)
        return self._vae.to(device)

    def prompt_pipeline(self, device: torch.device, dtype: torch.dtype) -> DiffusionPipeline:
        """One of tokenizers, and of seats where text encoders stand: each is loaded when it is called, to stay."""
        if self._pipeline is None:
            self._pipeline = self.seated(self._seats(device, dtype))
            for name, seat in self._seats_of(self._pipeline).items():
                seat.call = partial(self._call_kept, name, seat)
        for seat in self._seats_of(self._pipeline).values():
            seat.device, seat.dtype = device, dtype
        return self._pipeline

    def encoded(
        self, encode: Encode, batches: Sequence[list[str]], device: torch.device, dtype: torch.dtype
    ) -> Iterator[Conditioning]:
        """Batch after batch where the encoders stay, else encoder after encoder."""
        pipeline = self.prompt_pipeline(device, dtype)
        if self.stay(device, dtype):
            return (encode(pipeline, batch) for batch in batches)
        return self._in_turn(pipeline, encode, batches, device, dtype)

    def stay(self, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether text encoders stay in memory; decided when it is first asked."""
        if self._settings.stay is None:
            needed = self.encoder_bytes(dtype)
            place = torch.device("cpu") if self._settings.offload else device
            free = None if needed < _SMALL else free_bytes(place)
            self._settings = EncoderSettings(free is None or needed <= free // 2, self._settings.offload)
        return bool(self._settings.stay)

    def short_tokens(self) -> int:
        """As the folder's tokenizer says."""
        path = self._folder / "tokenizer" / "tokenizer_config.json"
        length = read_json_object(path).get("model_max_length")
        if not isinstance(length, int) or isinstance(length, bool) or length < 1:
            raise DinaError(f"{path}: model_max_length is {length!r}; accepted: the tokens of CLIP's text encoder")
        return length

    def loaded(self) -> dict[str, nn.Module]:
        """What was asked for so far, and stays."""
        return self._encoders if self._vae is None else {**self._encoders, "vae": self._vae}

    def encoder_bytes(self, dtype: torch.dtype) -> int:
        """What all text encoders take together."""
        found = 0
        for name in self.text_encoders():
            place, _ = self.encoder_place(name)
            count, stored = stored_type(place, TRANSFORMERS)
            found += count * (1 if name in self.rounded() else held_dtype(stored, dtype).itemsize)
        return found

    @abstractmethod
    def text_encoders(self) -> tuple[str, ...]:
        """Their names in a pipeline."""

    @abstractmethod
    def encoder_place(self, name: str) -> tuple[Path, type[Any]]:
        """The folder of a text encoder, and its class in transformers."""

    @abstractmethod
    def load_weights(self, name: str, dtype: torch.dtype) -> nn.Module:
        """A text encoder, frozen, on the host; mapped from its files where `dtype` is what they hold."""

    @abstractmethod
    def rounded(self) -> tuple[str, ...]:
        """Text encoders that are rounded to 8 bits when they are loaded."""

    @abstractmethod
    def seated(self, seats: dict[str, Seat]) -> DiffusionPipeline:
        """A pipeline that can encode prompts, of tokenizers, configurations and these seats."""

    def _encoder(self, name: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
        place, kind = self.encoder_place(name)
        if name in self.rounded():
            return load_in_8_bits(place, kind, dtype, device)
        held = held_dtype(stored_type(place, TRANSFORMERS)[1], dtype)
        encoder = self.load_weights(name, held)
        if held != dtype and not casts_exactly(encoder, dtype):
            encoder, held = self.load_weights(name, dtype), dtype
        if not self._settings.offload:
            encoder = encoder.to(device)
        if self._settings.stay is False:
            let_pages_go(encoder)
        return compute_by_block(encoder, device, dtype) if held != dtype or self._settings.offload else encoder

    def _kept_encoder(self, name: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
        if name not in self._encoders:
            self._encoders[name] = self._encoder(name, device, dtype)
        elif not self._settings.offload:
            self._encoders[name].to(device)
        return self._encoders[name]

    def _call_kept(self, name: str, seat: Seat, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - the encoder's own
        return self._kept_encoder(name, seat.device, seat.dtype)(*given, **named)

    def _in_turn(
        self,
        pipeline: DiffusionPipeline,
        encode: Encode,
        batches: Sequence[list[str]],
        device: torch.device,
        dtype: torch.dtype,
    ) -> Iterator[Conditioning]:
        self.release()
        own, seats = copy.copy(pipeline), self._seats(device, dtype)
        for name, seat in seats.items():
            setattr(own, name, seat)
        yield from encoded_in_turn(
            seats, partial(self._encoder, device=device, dtype=dtype), partial(encode, own), batches
        )
        _collect(device)

    def _seats(self, device: torch.device, dtype: torch.dtype) -> dict[str, Seat]:
        found = {}
        for name in self.text_encoders():
            place, kind = self.encoder_place(name)
            with loading(place):
                found[name] = Seat(kind.config_class.from_pretrained(place), device, dtype)
        return found

    def _seats_of(self, pipeline: DiffusionPipeline) -> dict[str, Seat]:
        return {name: part for name, part in pipeline.components.items() if isinstance(part, Seat)}


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
        in_8_bits: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, model, vae_class)
        self._pipeline_class, self._absent = pipeline_class, dict.fromkeys(absent)
        self._in_8_bits = (*in_8_bits,)

    def text_encoders(self) -> tuple[str, ...]:
        """As the folder lists them, without those that are to be absent."""
        return tuple(name for name in text_encoder_names(self._folder) if name not in self._absent)

    def rounded(self) -> tuple[str, ...]:
        """As was asked for."""
        return self._in_8_bits

    def encoder_place(self, name: str) -> tuple[Path, type[Any]]:
        """As the folder says."""
        library, kind = read_json_object(self._folder / INDEX)[name]
        return self._folder / name, component_class(library, kind)

    def load_weights(self, name: str, dtype: torch.dtype) -> nn.Module:
        """As the folder says."""
        place = self._folder / name
        check_pipeline_folder(self._folder)
        expect_safetensors(place)
        library, kind = read_json_object(self._folder / INDEX)[name]
        encoder: nn.Module = load_component(place, library, kind, dtype)
        return encoder.requires_grad_(False).eval()

    def seated(self, seats: dict[str, Seat]) -> DiffusionPipeline:
        """One of our transformer, which some ask for its configuration, and the tokenizers."""
        given = {"transformer": self._model, "vae": None, **self._absent, **dict.fromkeys(seats)}
        pipeline = load_pipeline(self._folder, torch.float32, given, self._pipeline_class)
        pipeline.register_modules(**seats)
        return pipeline

    def whole_pipeline(self, device: torch.device, dtype: torch.dtype, *, text_encoders: bool) -> DiffusionPipeline:
        """One with the autoencoder too, frozen; without `text_encoders` it has none of them.

        Seats stand for those that wait elsewhere or are rounded: whoever reads the pipeline loads them here.
        """
        names = text_encoder_names(self._folder)
        seated = text_encoders and (self._settings.offload or bool(self._in_8_bits))
        absent = {**self._absent, **({} if text_encoders and not seated else dict.fromkeys(names))}
        vae = frozen_vae(self._vae_class, self._folder, dtype)
        given = {"transformer": self._model, "vae": vae, **absent}
        pipeline = load_pipeline(self._folder, dtype, given, self._pipeline_class)
        if seated:
            self._settings = EncoderSettings(stay=True, offload=self._settings.offload)
            pipeline.register_modules(**self._seats_of(self.prompt_pipeline(device, dtype)))
        for part in modules_of(pipeline).values():
            part.requires_grad_(False).eval()
        return pipeline.to(device)


def _collect(device: torch.device) -> None:
    """Give memory of models that nobody holds back to the system, or to the device."""
    gc.collect()
    if device.type in ("cuda", "xpu", "mps"):
        getattr(torch, device.type).empty_cache()
