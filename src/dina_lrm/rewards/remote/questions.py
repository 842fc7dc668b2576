"""What is asked of a server about latents, cut into requests that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import rows_of

Kind = Literal["raw", "z"]
State = Literal["clean", "noisy"]


@dataclass(frozen=True, eq=False)
class PromptTable:
    """The distinct prompts of a question, encoded or as texts, and which of them belongs to each item."""

    rows: list[Conditioning] | list[str]
    of_item: list[int]

    @classmethod
    def of_conditioning(cls, told: Conditioning, count: int) -> PromptTable:
        """One row for items of equal tensors; a single prompt serves all items."""
        if len(told) == 1:
            return cls([*rows_of(told)], [0] * count)
        distinct: list[Conditioning] = []
        alike: dict[bytes, list[int]] = {}
        of_item = []
        for row, mark in zip(rows_of(told), _marks(told), strict=True):
            same = next((known for known in alike.get(mark, ()) if _equal(distinct[known], row)), None)
            if same is None:
                same = len(distinct)
                distinct.append(row)
                alike.setdefault(mark, []).append(same)
            of_item.append(same)
        return cls(distinct, of_item)

    @classmethod
    def of_texts(cls, prompts: Sequence[str]) -> PromptTable:
        """One row for each text, which the server encodes."""
        rows = [*dict.fromkeys(prompts)]
        numbers = {text: number for number, text in enumerate(rows)}
        return cls(rows, [numbers[text] for text in prompts])

    def part(self, items: range) -> PromptTable:
        """The prompts of some items."""
        used = [*dict.fromkeys(self.of_item[item] for item in items)]
        rows: list[Conditioning] | list[str] = [self.rows[row] for row in used]  # type: ignore[assignment]
        return PromptTable(rows, [used.index(self.of_item[item]) for item in items])


@dataclass(frozen=True, eq=False)
class LatentQuestion:
    """Latents to be scored, with their prompts.

    Clean ones are read at `levels`, one number or several for an ensemble (empty: the model's own), with the noise of
    their seeds; noisy ones are states at their level. `kind` "z" asks for (raw - mean) / std of the model.
    """

    latents: Float[Tensor, "batch channels height width"]
    prompts: PromptTable
    levels: tuple[float, ...]
    seeds: list[int]
    state: State = "clean"
    kind: Kind = "raw"
    own: bool = False
    """Whether the latents are surely a generator's own: those that are too large are scored then, with a warning."""

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def level_tensor(self) -> Tensor | None:
        """The levels as protocol 2 has them, (batch,) or (batch, levels); None where they are the model's own."""
        if not self.levels:
            return None
        rows = torch.tensor([self.levels] * len(self), dtype=torch.float32)
        return rows[:, 0].contiguous() if len(self.levels) == 1 else rows

    def parts(self, most_items: int, most_bytes: int, bytes_of_prompt: int) -> Iterator[LatentQuestion]:
        """The question in parts of so many items and bytes at most, counting a prompt's bytes with each item."""
        size = max(1, self.latents[:1].nbytes + bytes_of_prompt)
        step = max(1, min(most_items, most_bytes // size))
        for start in range(0, len(self), step):
            items = range(start, min(start + step, len(self)))
            yield LatentQuestion(
                self.latents[items.start : items.stop],
                self.prompts.part(items),
                self.levels,
                self.seeds[items.start : items.stop],
                self.state,
                self.kind,
                self.own,
            )


def _marks(told: Conditioning) -> list[bytes]:
    """Some values of each row, equal where the rows are."""
    flat = told.prompt_embeds.detach().flatten(1)
    step = max(1, flat.shape[1] // 256)
    marks = flat[:, ::step].float().cpu()
    return [row.numpy().tobytes() for row in marks]


def _equal(one: Conditioning, other: Conditioning) -> bool:
    for name in ("prompt_embeds", "pooled_prompt_embeds", "prompt_mask"):
        a: Tensor | None = getattr(one, name)
        b: Tensor | None = getattr(other, name)
        if a is not None and b is not None and not torch.equal(a, b):
            return False
    return True


def plain(tensor: Tensor) -> Tensor:
    """A tensor as it is sent: on the CPU, contiguous, doubles as float32."""
    found = tensor.detach().cpu()
    return (found.float() if found.dtype == torch.float64 else found).contiguous()
