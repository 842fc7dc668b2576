"""What a generator is told beside the noisy latents, one row for each image.

The fields carry the names diffusers uses, so that what a pipeline's `encode_prompt` returns goes in unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class PromptShape:
    """How many `tokens` a prompt has that a backbone encodes itself, how wide their states are, and how wide the pooled
    vector is beside them (0: there is none).
    """

    tokens: int
    width: int
    pooled: int


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Encoded prompts: `batch` rows of `tokens` text tokens, and a pooled vector where the family has one.

    `prompt_mask` is True at real tokens and False at padding; None says that it is unknown, and every token counts.
    `truncated` holds, for each prompt, None or a sentence saying what was cut off it.
    Raises ValueError when the fields disagree about the number of prompts or tokens.
    """

    # Shapes are checked below, in everybody's hands, with messages of our own.
    prompt_embeds: Tensor
    """(batch, tokens, dim), floating point."""
    pooled_prompt_embeds: Tensor | None = None
    """(batch, pooled), floating point."""
    prompt_mask: Tensor | None = None
    """(batch, tokens), bool."""
    truncated: tuple[str | None, ...] | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.prompt_embeds.shape)
        if len(shape) != 3:
            raise DinaError(f"prompt_embeds: got shape {shape}, expected (batch, tokens, dim)")
        _expect_floating("prompt_embeds", self.prompt_embeds)
        pooled, mask = self.pooled_prompt_embeds, self.prompt_mask
        if pooled is not None:
            if pooled.ndim != 2 or pooled.shape[0] != shape[0]:
                raise DinaError(
                    f"pooled_prompt_embeds: got shape {tuple(pooled.shape)}, expected ({shape[0]}, pooled): "
                    f"prompt_embeds has {shape[0]} rows"
                )
            _expect_floating("pooled_prompt_embeds", pooled)
        if mask is not None:
            if tuple(mask.shape) != shape[:2]:
                raise DinaError(f"prompt_mask: got shape {tuple(mask.shape)}, expected {shape[:2]} as in prompt_embeds")
            if mask.dtype != torch.bool:
                raise DinaError(f"prompt_mask: got dtype {mask.dtype}, expected torch.bool (True = real token)")
        if self.truncated is not None and len(self.truncated) != shape[0]:
            raise DinaError(f"truncated: got {len(self.truncated)} entries for {shape[0]} prompts")

    def __len__(self) -> int:
        return self.prompt_embeds.shape[0]

    @property
    def shape(self) -> PromptShape:
        """Shape of each prompt."""
        pooled = self.pooled_prompt_embeds
        _, tokens, width = self.prompt_embeds.shape
        return PromptShape(tokens, width, 0 if pooled is None else pooled.shape[1])

    def __getitem__(self, index: "int | slice | Sequence[int] | Tensor") -> "Conditioning":
        """The chosen rows, in the order asked; an int keeps the batch axis (a batch of one)."""
        rows = _row_numbers(index, len(self))
        chosen = torch.tensor(rows, dtype=torch.long, device=self.prompt_embeds.device)
        return Conditioning(
            self.prompt_embeds[chosen],
            None if self.pooled_prompt_embeds is None else self.pooled_prompt_embeds[chosen],
            None if self.prompt_mask is None else self.prompt_mask[chosen],
            None if self.truncated is None else tuple(self.truncated[row] for row in rows),
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Conditioning":
        """Move to `device` and cast the embeddings (not the mask) to `dtype`; None leaves as it is."""
        pooled, mask = self.pooled_prompt_embeds, self.prompt_mask
        return Conditioning(
            self.prompt_embeds.to(device=device, dtype=dtype),
            None if pooled is None else pooled.to(device=device, dtype=dtype),
            None if mask is None else mask.to(device=device),
            self.truncated,
        )

    def repeat_interleave(self, repeats: int) -> "Conditioning":
        """Each row `repeats` times in a row: a, a, b, b."""
        if repeats < 1:
            raise DinaError(f"repeats: got {repeats}, expected at least 1")
        return self[torch.arange(len(self)).repeat_interleave(repeats)]

    @staticmethod
    def cat(parts: "Sequence[Conditioning]") -> "Conditioning":
        """All rows of `parts`, in order.

        Refuses parts of different token counts or widths: padding one would change what the model attends to.
        A mask is kept when any part has one (a part without counts as all real tokens).
        """
        if not parts:
            raise DinaError("Conditioning.cat: got no parts, expected at least one")
        shapes = [tuple(part.prompt_embeds.shape[1:]) for part in parts]
        if len(set(shapes)) > 1:
            raise DinaError(
                f"Conditioning.cat: got (tokens, dim) {shapes}; all parts must agree. "
                "Encode the prompts with one prompt length"
            )
        pooled = [part.pooled_prompt_embeds for part in parts]
        present = [vector for vector in pooled if vector is not None]
        if len(present) not in (0, len(parts)):
            raise DinaError(f"Conditioning.cat: {len(present)} of {len(parts)} parts have pooled_prompt_embeds")
        return Conditioning(
            torch.cat([part.prompt_embeds for part in parts]),
            torch.cat(present) if present else None,
            _joined_masks(parts),
            _joined_truncations(parts),
        )


@dataclass(frozen=True, eq=False)
class Features:
    """What the backbone knows of a batch of noisy latents at one noise level.

    `visual` and `text` hold one tensor for each tap, in the order of the configured taps; `text` may be empty.
    `time_embedding` is the backbone's own embedding of its timestep (SD3: with the pooled prompt). `grids` is the
    (height, width) of the map behind each visual tap, where a family's maps differ in size; None says that all taps
    have the same tokens. `pooled_text` is the prompt's pooled vector, where the family has one.
    `unconditional` is `visual` for the empty prompt; only heads that ask for it get it.
    """

    visual: tuple[Float[Tensor, "batch _ _"], ...]
    text: tuple[Float[Tensor, "batch text_tokens _"], ...]
    time_embedding: Float[Tensor, "batch embedding"]
    text_mask: Bool[Tensor, "batch text_tokens"] | None = None
    grids: tuple[tuple[int, int], ...] | None = None
    pooled_text: Float[Tensor, "batch pooled"] | None = None
    unconditional: tuple[Float[Tensor, "batch _ _"], ...] | None = None
    text_there: Bool[Tensor, "batch text_tokens"] | None = None
    """False behind the end of a prompt that is shorter than others of its batch, where there is nothing for anybody to
    see; None says that all have one length."""

    def rows(self, chosen: slice) -> "Features":
        """Return the features of some of the images."""
        return Features(
            tuple(tap[chosen] for tap in self.visual),
            tuple(tap[chosen] for tap in self.text),
            self.time_embedding[chosen],
            None if self.text_mask is None else self.text_mask[chosen],
            self.grids,
            None if self.pooled_text is None else self.pooled_text[chosen],
            None if self.unconditional is None else tuple(tap[chosen] for tap in self.unconditional),
            None if self.text_there is None else self.text_there[chosen],
        )


def _expect_floating(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise DinaError(f"{name}: got dtype {tensor.dtype}, expected a floating point dtype")


def _row_numbers(index: "int | slice | Sequence[int] | Tensor", length: int) -> list[int]:
    if isinstance(index, slice):
        return list(range(length)[index])
    if isinstance(index, Tensor):
        if index.dtype == torch.bool:
            if tuple(index.shape) != (length,):
                raise DinaError(f"boolean index: got shape {tuple(index.shape)}, expected ({length},)")
            index = index.nonzero().flatten()
        elif index.is_floating_point() or index.ndim > 1:
            raise DinaError(f"index: got {index.dtype} of shape {tuple(index.shape)}, expected a list of row numbers")
        index = index.reshape(-1).tolist()
    rows = [index] if isinstance(index, int) else [int(row) for row in index]
    outside = [row for row in rows if not -length <= row < length]
    if outside:
        raise IndexError(f"row {outside[0]} of a Conditioning with {length} rows")
    return [row % length for row in rows]


def _joined_masks(parts: Sequence[Conditioning]) -> Tensor | None:
    if all(part.prompt_mask is None for part in parts):
        return None
    masks = [
        torch.ones(part.prompt_embeds.shape[:2], dtype=torch.bool, device=part.prompt_embeds.device)
        if part.prompt_mask is None
        else part.prompt_mask
        for part in parts
    ]
    return torch.cat(masks)


def _joined_truncations(parts: Sequence[Conditioning]) -> tuple[str | None, ...] | None:
    if all(part.truncated is None for part in parts):
        return None
    nothing = [(None,) * len(part) if part.truncated is None else part.truncated for part in parts]
    return tuple(message for messages in nothing for message in messages)
