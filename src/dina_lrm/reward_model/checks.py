"""What the reward model refuses, and how it says so: where, what was given, what is accepted."""

import math
import numbers
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.diffusion.noise import SEEDS
from dina_lrm.pictures.names import shown
from dina_lrm.pictures.sources import described
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

NoiseLevels: TypeAlias = float | int | Sequence[float | int]
"""A noise level in [0, 1], or those of a token-level ensemble."""


LARGEST_SCALE = 4.0
"""Root mean square beyond which a clean latent is of no scaled space."""


def checked_levels(where: str, noise_level: object, default: float) -> tuple[float, ...]:
    """The noise levels asked for: one number, the numbers of an ensemble, or None for `default`."""
    if noise_level is None:
        return (default,)
    if isinstance(noise_level, Tensor) and noise_level.ndim:
        raise DinaError(
            f"{where}: noise_level is a tensor of shape {tuple(noise_level.shape)}; accepted: one number, or a list of "
            "numbers for an ensemble (score_noisy takes one level for each item)"
        )
    levels = [*noise_level] if isinstance(noise_level, Sequence) else [noise_level]
    if not levels:
        raise DinaError(f"{where}: noise_level is an empty list; accepted: one number in [0, 1], or a list of them")
    return tuple(_level(where, level) for level in levels)


def checked_level_per_item(where: str, noise_level: object, batch: int) -> Float[Tensor, " batch"]:
    """One noise level for each of `batch` items, as float32."""
    if not isinstance(noise_level, Tensor) or noise_level.ndim == 0:
        return torch.full((batch,), _level(where, noise_level))
    if noise_level.shape != (batch,):
        given = tuple(noise_level.shape)
        raise DinaError(f"{where}: noise_level has shape {given}; accepted: one number, or shape ({batch},)")
    levels = noise_level.float()
    if not bool(((levels >= 0) & (levels <= 1)).all()):
        raise DinaError(f"{where}: noise_level is {noise_level.tolist()}; accepted: numbers in [0, 1]")
    return levels


def check_latents(where: str, latents: Shaped[Tensor, "..."], backbone: "Backbone") -> None:
    """Refuse latents that the backbone cannot take: shape, channels, size, dtype, non-finite values."""
    channels, multiple = backbone.latent_channels, backbone.latent_multiple
    accepted = f"(batch, {channels}, height, width), height and width multiples of {multiple}"
    shape = tuple(latents.shape)
    if len(shape) != 4 or shape[1] != channels or 0 in shape or shape[2] % multiple or shape[3] % multiple:
        other = "; latents of another generator go through `other_latents.reencoded`" if len(shape) == 4 else ""
        raise DinaError(f"{where}: latents have shape {shape}; accepted: {accepted}{other}")
    check_finite(where, "latents", latents)


class LargeLatentsWarning(UserWarning):
    """A generator's own latents were far larger than any that a reward model learned from."""


LARGE: Final = (
    f"clean latents of the generator have a root mean square above {LARGEST_SCALE:g}, where those of pictures have "
    "about 1: their scores mean little"
)


def root_mean_squares(latents: Float[Tensor, "batch channels height width"]) -> Float[Tensor, " batch"]:
    """The root mean square of each latent."""
    return latents.detach().float().square().mean(dim=(1, 2, 3)).sqrt()


def check_scale(where: str, latents: Shaped[Tensor, "..."], *, own: bool = False) -> None:
    """Refuse clean latents far larger than any in a generator's scaled space, whose root mean square is about 1.

    A VAE's own latents before scaling are (SD1.5's by 5.5, SDXL's by 7.7); those of other families mostly are not, and
    cannot be told apart by their size. Latents that are surely in the scaled space, the generator's `own`, are not
    refused: an update is not lost by one sample that went astray. They are warned of.
    """
    sizes = root_mean_squares(latents)
    items = (sizes > LARGEST_SCALE).nonzero().flatten().tolist()
    if not items:
        return
    if own:
        warnings.warn(f"{where}: {LARGE}", LargeLatentsWarning, stacklevel=2)
        return
    raise DinaError(
        f"{where}: items {items[:10]} have a root mean square of {sizes[items[0]].item():.3g}; accepted: at most "
        f"{LARGEST_SCALE:g}, as latents in the generator's scaled space have: (VAE's latents - shift) * scale. "
        "Clean estimates at early steps under strong guidance, strong pulls and much noise go beyond it"
    )


def check_noise(where: str, noise: Shaped[Tensor, "..."], latents: Tensor) -> None:
    """Refuse noise that is not of the latents' shape, or not finite."""
    if noise.shape != latents.shape:
        raise DinaError(
            f"{where}: noise has shape {tuple(noise.shape)}; accepted: {tuple(latents.shape)}, the latents'"
        )
    check_finite(where, "noise", noise)


def check_finite(where: str, name: str, tensor: Shaped[Tensor, "..."]) -> None:
    """Refuse tensors that are not of a floating type or hold NaN or infinity."""
    if not tensor.is_floating_point():
        raise DinaError(f"{where}: {name} have dtype {tensor.dtype}; accepted: floating types")
    finite = torch.isfinite(tensor.detach())
    if not bool(finite.all()):
        items = sorted({int(row) for row in (~finite).nonzero()[:, 0]}) if tensor.ndim else []
        raise DinaError(f"{where}: {name} have non-finite values in items {items[:10]}; accepted: finite values")


def matched_conditioning(where: str, conditioning: Conditioning, batch: int) -> Conditioning:
    """The conditioning of `batch` items; that of a single prompt serves them all."""
    if len(conditioning) not in (1, batch):
        raise DinaError(
            f"{where}: conditioning of {len(conditioning)} prompts for {batch} latents; accepted: 1 or {batch}"
        )
    check_finite(where, "prompt_embeds", conditioning.prompt_embeds)
    return conditioning.repeat_interleave(batch) if len(conditioning) < batch else conditioning


def matched_prompts(where: str, prompts: object, images: int) -> list[str]:
    """One prompt for each of `images` images; a single string serves them all."""
    if images == 0:
        raise DinaError(f"{where}: no images given; accepted: at least one")
    matched = [prompts] * images if isinstance(prompts, str) else checked_prompts(where, prompts)
    if len(matched) != images:
        raise DinaError(
            f"{where}: {len(matched)} prompts for {images} images; accepted: {images} prompts, or one string"
        )
    return checked_prompts(where, matched)


def checked_prompts(where: str, prompts: object, *, may_be_empty: bool = False) -> list[str]:
    """The prompts as a list of texts; one text is a list of one. ValueError for anything that is no text, or empty."""
    if isinstance(prompts, bytes | bytearray | Mapping | set) or not isinstance(prompts, Iterable):
        raise DinaError(f"{where}: prompts: {described(prompts)}; accepted: a text, or a list of texts")
    items = [prompts] if isinstance(prompts, str) else list(prompts)
    for row, prompt in enumerate(items):
        if not isinstance(prompt, str):
            raise DinaError(f"{where}: prompts[{row}]: {described(prompt)}; accepted: texts")
        if not may_be_empty and not prompt.strip():
            raise DinaError(f"{where}: prompts[{row}] is empty; accepted: the text that the picture was made for")
        if any("\ud800" <= letter <= "\udfff" for letter in prompt):
            raise DinaError(f"{where}: prompts[{row}] holds half a character (a lone surrogate): {shown(prompt)}")
    return [str(prompt) for prompt in items]


def checked_batch_size(where: str, batch_size: object) -> int:
    """A whole number of at least 1."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, numbers.Integral) or int(batch_size) < 1:
        raise DinaError(f"{where}: batch_size is {batch_size!r}; accepted: whole numbers of at least 1")
    return int(batch_size)


def checked_seed(where: str, seed: object) -> int:
    """A whole number that a generator of random numbers takes."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or int(seed) not in SEEDS:
        raise DinaError(f"{where}: seed is {seed!r}; accepted: whole numbers in [-2**63, 2**64)")
    return int(seed)


def _level(where: str, level: object) -> float:
    if isinstance(level, bool) or not isinstance(level, numbers.Real | Tensor):
        raise DinaError(f"{where}: noise_level is {level!r}; accepted: numbers in [0, 1]")
    value = float(level)
    if not math.isfinite(value) or not 0.0 <= value <= 1.0:
        raise DinaError(f"{where}: noise_level is {value}; accepted: numbers in [0, 1], 0 = clean")
    return value
