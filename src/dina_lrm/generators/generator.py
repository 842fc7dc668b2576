"""The generator that is aligned: a pipeline with a LoRA of its own, read through a backbone that shares its weights.

There is one copy of the pretrained weights: generator, its reference (the same without the LoRA) and latent rewards
that were loaded with `pipeline=` all compute with it, each with its own adapter or with none.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Bool, Float, UInt8
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn

from dina_lrm.backbones.adapter_state import AdapterScope
from dina_lrm.backbones.adapters import peft_config
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.lora_file import GeneratorLora, find_lora, read_lora
from dina_lrm.backbones.registry import family_of_pipeline, load_backbone
from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.generators.kernels import Ode
from dina_lrm.generators.schedule import level_shift, sampling_levels
from dina_lrm.generators.schedulers import check_unclipped, starting_scale
from dina_lrm.reward_model.inputs import warn_of_unread
from dina_lrm.runs.files import save_tensors
from dina_lrm.typed import DinaError

ADAPTER = "generator"
"""Name of the LoRA that learns."""
_BENEATH = "beneath"
_TOKENISED = 1024
"""Prompts at a time."""
Latents = Float[Tensor, "batch channels height width"]
_log = logging.getLogger(__name__)


class NotFiniteError(RuntimeError):
    """What a generator gave instead of a picture."""


class Generator:
    """A pipeline whose LoRA learns; everything else in it is frozen.

    `prompt_length` is that of the long text encoder, `guidance` the scale of classifier-free guidance (none up to 1); a
    U-Net distilled with its guidance (LCM) is told the scale instead.
    `lora` is a stored LoRA that the pipeline has anyhow, its reference too; latent rewards read without it.
    `gradient_checkpointing` recomputes activations in the backward pass.

    Raises:
        ValueError: for a resolution that does not fit, and for a LoRA that is none of this pipeline's model.
    """

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        resolution: int,
        rank: int = 32,
        alpha: float = 64.0,
        prompt_length: int = 0,
        guidance: float = 4.5,
        seed: int = 0,
        lora: Path | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        config = BackboneConfig(family_of_pipeline(pipeline), "pipeline", 1, (0,), (), prompt_length=prompt_length)
        backbone = load_backbone(config, pipeline=pipeline)
        if backbone.guidance_built_in:
            backbone.config = replace(config, guidance=guidance)
        self.pipeline, self.backbone = pipeline, backbone
        # As in every pipeline, which guides for scales above 1 alone: turbo models are called with 0
        self.guidance = 1.0 if backbone.guidance_built_in else max(guidance, 1.0)
        side, multiple = backbone.pixels_per_latent, backbone.latent_multiple
        if resolution < 1 or resolution % (side * multiple):
            raise DinaError(f"resolution: got {resolution}; accepted: multiples of {side * multiple}")
        self.resolution = resolution
        self._side, self._tokens = resolution // side, (resolution // side // multiple) ** 2
        self._lora, self._beneath = lora, () if lora is None else (_BENEATH,)
        if lora is not None:
            self._put_in(self._stored_lora(lora), _BENEATH)
        self.parameters, self._factor = self._attach(rank, alpha, seed), alpha / rank
        self._reference = AdapterScope(self.model, *self._beneath)
        self.gradient_checkpointing = gradient_checkpointing
        self.cuts_prompts = False
        """Whether prompts that are longer than the text encoders read are cut, as by its pipeline, and not refused."""
        self._whole: set[str] = set()
        """Prompts that were checked, and of which nothing is to be said: a run and what prepares it check the same."""
        if gradient_checkpointing:
            self.model.enable_gradient_checkpointing()

    @property
    def model(self) -> ModelMixin:
        """The transformer or U-Net."""
        return self.backbone.transformer

    @property
    def prompt_length(self) -> int:
        """Tokens of its long text encoder; 0 without one."""
        return self.backbone.config.prompt_length

    @property
    def process(self) -> ForwardProcess:
        """Its forward process."""
        return self.backbone.process

    @property
    def passes_per_step(self) -> int:
        """Evaluations of the model that a step of sampling takes for each sample: two with guidance."""
        return 1 if self.guidance == 1.0 else 2

    def levels(self, steps: int) -> Float[Tensor, " levels"]:
        """The noise levels of its scheduler, as its pipeline asks for them."""
        check_unclipped(self.pipeline.scheduler)
        backbone = self.backbone
        levels = sampling_levels(
            self.pipeline.scheduler,
            self.process,
            steps,
            self._tokens,
            backbone.sampling.even_sigmas,
            backbone.sampling.even_for_solvers,
            backbone.sampling.largest_shift,
        )
        backbone.check_sampled(levels)
        return levels

    @property
    def shift(self) -> float:
        """How far its scheduler moves levels towards noise, `t <- s t / (1 + (s - 1) t)`; 1 where it moves none."""
        return level_shift(self.pipeline.scheduler, self.process, self._tokens, self.backbone.sampling.largest_shift)

    def noise(self, seeds: Sequence[int]) -> Latents:
        """One standard normal draw a seed."""
        shape = (self.backbone.latent_channels, self._side, self._side)
        return torch.stack([seeded_noise(shape, seed) for seed in seeds]).to(self.backbone.device)

    def start(self, noise: Latents, level: Tensor) -> Latents:
        """The state that its scheduler makes of standard normal noise, at its first noise level."""
        scale = starting_scale(self.pipeline.scheduler, self.process, level)
        return noise if scale == 1.0 else scale * noise

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """The conditioning of prompts. ValueError for an empty one, and without `cuts_prompts` for one too long."""
        _check_not_empty(prompts)
        conditioning = self.backbone.encode_prompts(list(prompts))
        if not self.cuts_prompts:
            _check_not_cut(prompts, conditioning.truncated or ())
        return conditioning

    def check_prompts(self, prompts: Sequence[str], places: Sequence[str] = ()) -> None:
        """ValueError for what `encode_prompts` would refuse, by the tokens alone, before any of them is needed.

        It counts all and names the first few, with their `places` where as many are given as prompts. Prompts with what
        the tokenizers do not read as text are warned of (`PromptUnreadWarning`).
        """
        _check_not_empty(prompts)
        new = list(dict.fromkeys(prompt for prompt in prompts if prompt not in self._whole))
        cuts = {} if self.cuts_prompts else dict(zip(new, self.cuts_of(new), strict=True))
        _check_not_cut(prompts, [cuts.get(prompt) for prompt in prompts], places)
        told = [one for some in _parts(new) for one in self.backbone.unread_prompts(some)]
        unread = dict(zip(new, told, strict=True))
        warn_of_unread("check_prompts", [unread.get(prompt) for prompt in prompts])
        if not self.cuts_prompts:
            self._whole.update(prompt for prompt in new if unread[prompt] is None)

    def cuts_of(self, prompts: Sequence[str]) -> list[str | None]:
        """What its text encoders leave out of each prompt, by the tokens alone: a sentence, or None."""
        return [cut for some in _parts(prompts) for cut in self.backbone.cut_prompts(some)]

    def velocity(self, x: Latents, level: Tensor, conditioning: Conditioning, guidance: float = 1.0) -> Latents:
        """The velocity at one noise level, guided as its pipeline does without a negative prompt; none up to 1."""
        return self.plain_and_guided(x, level, conditioning, guidance)[1]

    def check_guided(self, name: str, guidance: float) -> None:
        """ValueError that names the setting, where it asks for guidance and none can be taken away from the model."""
        if guidance > 1 and self.backbone.guidance_built_in:
            told = "for a generator that was distilled with its guidance and is told the scale (generator.guidance)"
            raise DinaError(f"{name}: {guidance} {told}; accepted: 1")

    def plain_and_guided(
        self, x: Latents, level: Tensor, conditioning: Conditioning, guidance: float
    ) -> tuple[Latents, Latents]:
        """The velocity under the prompts alone, and guided as `velocity` is: one pass up to 1, two above it."""
        levels = level.to(x.device).expand(len(x))
        if guidance <= 1.0:
            plain = self.backbone.velocity(x, levels, conditioning)
            return plain, plain
        unguided = self.backbone.unguided_conditioning()[[0] * len(x)]
        conditions = Conditioning.cat([unguided, conditioning])
        without, given = self.backbone.velocity(torch.cat([x, x]), levels.repeat(2), conditions).chunk(2)
        return given, self.backbone.sampling.guide(without, given, guidance)

    @torch.no_grad()
    def denoise(
        self,
        x: Latents,
        conditioning: Conditioning,
        levels: Float[Tensor, " levels"],
        steps: int | None = None,
        guidance: float | None = None,
        went_on: Callable[[], None] = lambda: None,
    ) -> Latents:
        """Follow the ODE from noise through the first `steps` intervals of `levels` (all of them: to clean latents).

        With its own `guidance` where no other is given. `went_on` is called after every step: what it raises ends this.
        """
        x, scale = self.start(x, levels[0]), self.guidance if guidance is None else guidance
        for t, t_next in pairwise(levels if steps is None else levels[: steps + 1]):
            velocity = self.velocity(x, t, conditioning, scale)
            x = Ode().step(self.process, x, velocity, t, t_next).mean
            went_on()
        return x

    def images(self, latents: Latents) -> Float[Tensor, "batch 3 rows columns"]:
        """Pixels in [0, 1]; differentiable but where they are clipped."""
        return self._decoded(latents).clamp(0, 1)

    def _decoded(self, latents: Latents) -> Float[Tensor, "batch 3 rows columns"]:
        return self.backbone.decode_latents(latents) / 2 + 0.5

    @torch.no_grad()
    def pictures(self, latents: Latents) -> UInt8[np.ndarray, "batch rows columns 3"]:
        """What a person sees: pixels in whole grey levels. NotFiniteError where one is not finite."""
        found, finite = self.pictures_where_finite(latents)
        self._expect_all(finite, "pictures")
        return found

    def expect_finite(self, latents: Latents) -> None:
        """NotFiniteError, naming a LoRA that was loaded, where a sample holds NaN or infinity: it cannot be scored."""
        self._expect_all(latents.detach().isfinite().flatten(1).all(1).cpu().numpy(), "samples")

    def _expect_all(self, finite: Bool[np.ndarray, " batch"], what: str) -> None:
        if not finite.all():
            lora = "" if self._lora is None else f" with the LoRA {self._lora}"
            raise NotFiniteError(
                f"{(~finite).sum()} of {len(finite)} {what} of the generator{lora} are not finite: they are no "
                "pictures; a LoRA of smaller weights, or another precision, may help"
            )

    @torch.no_grad()
    def pictures_where_finite(
        self, latents: Latents
    ) -> tuple[UInt8[np.ndarray, "batch rows columns 3"], Bool[np.ndarray, " batch"]]:
        """Decode as `pictures` does, and say which are pictures: others, of NaN or infinite values, are black."""
        pixels = self._decoded(latents)
        finite = latents.isfinite().flatten(1).all(1).to(pixels.device) & pixels.isfinite().flatten(1).all(1)
        levels = (pixels.clamp(0, 1) * 255).round() * finite[:, None, None, None]
        return levels.nan_to_num().permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy(), finite.cpu().numpy()

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Inside, the generator is as it was before it learned: the LoRA that learns is off."""
        with self._reference.entered():
            yield

    @contextmanager
    def scaled(self, scale: float) -> Iterator[None]:
        """Inside, the LoRA that learns counts `scale` times as much."""
        own = [m for m in self.model.modules() if isinstance(m, BaseTunerLayer) and ADAPTER in m.scaling]
        before = [module.scaling[ADAPTER] for module in own]
        for module, value in zip(own, before, strict=True):
            module.scaling[ADAPTER] = scale * value
        try:
            yield
        finally:
            for module, value in zip(own, before, strict=True):
                module.scaling[ADAPTER] = value

    @property
    def tuned(self) -> bool:
        """Whether a LoRA is on and changes anything."""
        if self._beneath:
            return True
        layers = (module for module in self.model.modules() if isinstance(module, BaseTunerLayer))
        active = any(ADAPTER in layer.active_adapters and not layer.disable_adapters for layer in layers)
        return active and bool(torch.stack([p.any() for name, p in self.parameters.items() if "lora_B" in name]).any())

    def load_lora(self, path: Path, scale: float = 1.0, finite: bool = True) -> GeneratorLora:
        """Put a stored LoRA in the place of its own, times `scale`: a file or folder in any layout, of any ranks.

        Modules of text encoders in it are left out. With `finite` false, one with NaN is taken too, and said. Raises
        ValueError for a scale that is not finite, and for a path without a LoRA of this generator's model.
        """
        if not math.isfinite(scale):
            raise DinaError(f"scale of the LoRA: {scale}; accepted: a finite number")
        lora = self._stored_lora(path, finite)
        with warnings.catch_warnings():
            # A reward's LoRA stays, and its own goes while it is in use: both are meant
            warnings.filterwarnings("ignore", "Adapter .* was active which is now deleted", UserWarning)
            self.model.delete_adapters(ADAPTER)
        self._put_in(lora, ADAPTER)
        self._switch_on(scale)
        self.parameters = self._learning()
        assert len(self.parameters) == 2 * len(lora.updates)
        self._factor, self._lora = scale, path
        return lora

    def _stored_lora(self, path: Path, finite: bool = True) -> GeneratorLora:
        found = find_lora(path)
        if found is None:
            raise DinaError(f"{path}: holds no LoRA; accepted: a *.safetensors file, or the folder of one")
        lora = read_lora(found, self.model, self.pipeline, finite)
        if lora.of_text_encoders:
            _log.warning("%s: %d modules of text encoders are left out", found, lora.of_text_encoders)
        # Where only finite ones are taken, reading has looked at every value already
        diverged = 0 if finite else sum(not update.finite for update in lora.updates.values())
        if diverged:
            _log.warning(
                "%s: NaN or infinity in %d of %d modules: it gives no pictures", found, diverged, len(lora.updates)
            )
        return lora

    def _put_in(self, lora: GeneratorLora, adapter: str) -> None:
        """Make a stored LoRA a new adapter."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)
            settings = lora.peft_settings()
            self.model.load_lora_adapter(lora.tensors(), prefix=None, adapter_name=adapter, metadata=settings)

    def _switch_on(self, scale: float) -> None:
        """The LoRA beneath and the one that learns, times `scale`; only the latter will learn."""
        self.pipeline.set_adapters([*self._beneath, ADAPTER], [*(1.0 for _ in self._beneath), scale])
        for name, parameter in self.model.named_parameters():
            if f".{_BENEATH}." in name:
                parameter.requires_grad_(False)

    def save_lora(self, folder: Path) -> None:
        """Write the LoRA so that `pipeline.load_lora_weights(folder)` of plain diffusers reads it.

        Its factor alpha / rank is in the weights: files without an alpha are read with the factor 1.
        """
        found = get_peft_model_state_dict(self.model, adapter_name=ADAPTER)
        tensors = {name: self._factor * t if "lora_B" in name else t for name, t in found.items()}
        self.pipeline.save_lora_weights(
            folder, save_function=_save_whole, **{f"{self._component}_lora_layers": tensors}
        )

    def _attach(self, rank: int, alpha: float, seed: int) -> dict[str, nn.Parameter]:
        self.model.requires_grad_(False).eval()
        config = peft_config(LoraSettings(rank, alpha, self.backbone.lora_targets))
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # Beside a reward's LoRA, each with its own name, is where it belongs
            warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)
            torch.manual_seed(seed)
            self.model.add_adapter(config, ADAPTER)
        if self._beneath:
            self._switch_on(1.0)
        return self._learning()

    @property
    def _component(self) -> str:
        return "unet" if "unet" in self.pipeline.components else "transformer"

    def _learning(self) -> dict[str, nn.Parameter]:
        found = {name: p for name, p in self.model.named_parameters() if f".{ADAPTER}." in name}
        for parameter in found.values():
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)
        return found


def _save_whole(tensors: Mapping[str, Tensor], path: str) -> None:
    """Write a LoRA as diffusers does, but whole or not at all, and readable by whom the umask allows."""
    save_tensors(Path(path), tensors, {"format": "pt"})


def _parts(prompts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(prompts), _TOKENISED):
        yield prompts[start : start + _TOKENISED]


def _check_not_empty(prompts: Sequence[str]) -> None:
    empty = [number for number, prompt in enumerate(prompts) if not prompt.strip()]
    if empty:
        raise DinaError(f"prompt {empty[0]} is empty; accepted: prompts of at least one word")


def _check_not_cut(prompts: Sequence[str], cuts: Sequence[str | None], places: Sequence[str] = ()) -> None:
    named = places if len(places) == len(prompts) else [f"prompt {number}" for number in range(1, len(prompts) + 1)]
    found = [f"{named[n]}, {prompts[n][:60]!r}: {cut}" for n, cut in enumerate(cuts) if cut]
    if found:
        raise DinaError(
            f"{len(found)} of {len(prompts)} prompts are longer than the text encoders read ({'; '.join(found[:3])}"
            f"{'; ...' if len(found) > 3 else ''}); accepted: shorter ones; a larger prompt length where the generator "
            "has a long text encoder (--generator.prompt-length of align, --prompt-length elsewhere); --long-prompts "
            "cut or skip of align"
        )
