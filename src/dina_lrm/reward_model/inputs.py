"""Many images and prompts through the encoders, a few at a time: each image once, each distinct prompt once."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.buckets import Bucket, nearest_bucket
from dina_lrm.images import fit, load_pixels
from dina_lrm.pictures.sources import GivenPicture
from dina_lrm.reward_model.checks import checked_batch_size
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


AHEAD_BYTES: Final = 1 << 30
"""Of prompts that are encoded before they are needed, where text encoders do not stay in memory."""
AT_ONCE: Final = 16
"""Of these, in a batch."""


class PromptTruncatedWarning(UserWarning):
    """Some prompts are longer than the model reads; what follows was not seen."""


class PromptUnreadWarning(UserWarning):
    """Some prompts hold words or characters that the model cannot read, or control tokens."""


class ResizeWarning(UserWarning):
    """Some images were scaled or cropped to a resolution bucket of the model."""


@dataclass
class Notices:
    """What happened to the inputs of one call; said once, with counts."""

    images: int = 0
    resized: Counter[Bucket] = field(default_factory=Counter)
    prompts: int = 0
    truncated: list[str] = field(default_factory=list)
    unread: list[str | None] = field(default_factory=list)

    def say(self, where: str, stacklevel: int) -> None:
        """Warn of resized images, and of prompts that are cut or hold what is not read, at most once each."""
        for message, kind in self.told(where):
            warnings.warn(message, kind, stacklevel=stacklevel + 1)

    def told(self, where: str) -> list[tuple[str, type[UserWarning]]]:
        """A sentence each on what `say` warns of, and the kind of its warning."""
        found: list[tuple[str, type[UserWarning]]] = []
        if self.resized:
            sizes = ", ".join(f"{count} to {bucket}" for bucket, count in sorted(self.resized.items()))
            message = f"{where}: {self.resized.total()} of {self.images} images were resized or cropped: {sizes}"
            found.append((message, ResizeWarning))
        if self.truncated:
            message = f"{where}: {len(self.truncated)} of {self.prompts} prompts were truncated; {self.truncated[0]}"
            found.append((message, PromptTruncatedWarning))
        unread = _unread_told(where, self.unread)
        return found if unread is None else [*found, (unread, PromptUnreadWarning)]


def warn_of_unread(where: str, found: Sequence[str | None], stacklevel: int = 2) -> None:
    """Warn, once and with their number, of the prompts that a sentence was found for (`Backbone.unread_prompts`)."""
    message = _unread_told(where, found)
    if message is not None:
        warnings.warn(message, PromptUnreadWarning, stacklevel=stacklevel + 1)


def _unread_told(where: str, found: Sequence[str | None]) -> str | None:
    told = [sentence for sentence in found if sentence is not None]
    return f"{where}: {len(told)} of {len(found)} prompts are not read whole; {told[0]}" if told else None


class PromptStore:
    """The conditioning of a list of prompts: each distinct one is encoded once and let go after its last use."""

    def __init__(self, backbone: Backbone, prompts: Sequence[str], notices: Notices) -> None:
        self._backbone, self._notices = backbone, notices
        self._uses = Counter(prompts)
        self._encoded: dict[str, Conditioning] = {}
        notices.prompts += len(self._uses)

    def take(self, prompts: Sequence[str]) -> Conditioning:
        """The conditioning of `prompts`, row by row; each prompt may be taken as often as it was announced."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._encoded]
        if new:
            batches = [new] if self._backbone.encoders_stay else self._ahead(new)
            for batch, encoded in zip(batches, self._backbone.encode_prompt_batches(batches), strict=True):
                self._notices.truncated += [message for message in encoded.truncated or () if message is not None]
                self._notices.unread += self._backbone.unread_prompts(batch)
                self._encoded.update({prompt: encoded[i] for i, prompt in enumerate(batch)})
        taken = Conditioning.cat([self._encoded[prompt] for prompt in prompts])
        self._uses.subtract(prompts)
        for prompt in set(prompts):
            if self._uses[prompt] <= 0:
                del self._encoded[prompt]
        return taken

    def _ahead(self, new: list[str]) -> list[list[str]]:
        """Batches of these prompts and of those that follow: text encoders are loaded for all of them."""
        coming = [prompt for prompt in self._uses if self._uses[prompt] > 0 and prompt not in self._encoded]
        room = self._backbone.prompts_in(AHEAD_BYTES) - len(self._encoded)
        wanted = [*dict.fromkeys([*new, *coming])][: max(len(new), room)]
        return [wanted[start : start + AT_ONCE] for start in range(0, len(wanted), AT_ONCE)]


def encoded_images(
    where: str,
    backbone: Backbone,
    images: Sequence[GivenPicture],
    buckets: Sequence[Bucket],
    batch_size: int,
    notices: Notices,
) -> Float[Tensor, "images channels height width"]:
    """Latents of images that all go into one bucket."""
    if not images:
        raise DinaError(f"{where}: no images given; accepted: at least one")
    checked_batch_size(where, batch_size)
    groups = bucketed(where, images, buckets, notices)
    if len(groups) > 1:
        counts = ", ".join(f"{len(members)} in {bucket}" for bucket, members in sorted(groups.items()))
        raise DinaError(
            f"{where}: images of several buckets ({counts}) make no single tensor; encode each bucket alone"
        )
    [members] = groups.values()
    chunks = [members[i : i + batch_size] for i in range(0, len(members), batch_size)]
    return torch.cat([backbone.encode_images(_stacked(chunk)) for chunk in chunks])


@dataclass(frozen=True)
class EncodedBatch:
    """Images of one bucket, encoded; `rows` says which of the call's images they are."""

    rows: list[int]
    latents: Float[Tensor, "batch channels h w"]
    conditioning: Conditioning


def encoded_batches(
    where: str,
    backbone: Backbone,
    images: Sequence[GivenPicture],
    prompts: Sequence[str],
    buckets: Sequence[Bucket],
    batch_size: int,
    notices: Notices,
) -> Iterator[EncodedBatch]:
    """Encode images and prompts, at most `batch_size` at a time and only those in memory, grouped by bucket."""
    checked_batch_size(where, batch_size)
    store = PromptStore(backbone, prompts, notices)
    for start in range(0, len(images), batch_size):
        rows = range(start, min(start + batch_size, len(images)))
        conditioning = store.take([prompts[row] for row in rows])
        groups = bucketed(where, [images[row] for row in rows], buckets, notices, first_row=start)
        for members in groups.values():
            chosen = [row - start for row, _ in members]
            latents = backbone.encode_images(_stacked(members))
            yield EncodedBatch([row for row, _ in members], latents, conditioning[chosen])


def bucketed(
    where: str, images: Sequence[GivenPicture], buckets: Sequence[Bucket], notices: Notices, first_row: int = 0
) -> dict[Bucket, list[tuple[int, Float[Tensor, "3 bucket_height bucket_width"]]]]:
    """Load images and fit them into their nearest buckets, as (row, pixels in [0, 1])."""
    groups: dict[Bucket, list[tuple[int, Tensor]]] = {}
    for row, image in enumerate(images, first_row):
        try:
            pixels = load_pixels(image)
            height, width = pixels.shape[-2:]
            bucket = nearest_bucket((width, height), buckets)
            # At once: a batch of large pictures would otherwise be in memory as it came
            fitted = fit(pixels, bucket)
        except ValueError as error:
            raise DinaError(f"{where}: images[{row}]: {error}") from error
        if (bucket.width, bucket.height) != (width, height):
            notices.resized[bucket] += 1
        groups.setdefault(bucket, []).append((row, fitted))
    notices.images += len(images)
    return groups


def _stacked(members: Sequence[tuple[int, Tensor]]) -> Float[Tensor, "batch 3 height width"]:
    """Pixels in [-1, 1] of images of one bucket."""
    return torch.stack([pixels for _, pixels in members]) * 2 - 1
