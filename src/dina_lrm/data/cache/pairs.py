"""The table of encoded comparisons: a few numbers for each, pointing at images and prompts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from dina_lrm.typed import DinaError

WHOLE = ("number", "prompt", "bucket", "image_a", "image_b")
REAL = ("preference", "weight")
TEXT = ("pair_id", "prompt_id", "source")
COLUMNS = (*WHOLE, *REAL, *TEXT)


@dataclass(frozen=True, eq=False)
class PairTable:
    """One row for each comparison.

    `number` is its place in the stream that was encoded (places of comparisons that could not be encoded are absent);
    `prompt` is a row of the prompts, `image_a` and `image_b` are rows of the images of `bucket`, and `preference` is
    P(a preferred).
    """

    number: Int64[Tensor, " pairs"]
    prompt: Int64[Tensor, " pairs"]
    bucket: Int64[Tensor, " pairs"]
    image_a: Int64[Tensor, " pairs"]
    image_b: Int64[Tensor, " pairs"]
    preference: Float32[Tensor, " pairs"]
    weight: Float32[Tensor, " pairs"]
    pair_id: Sequence[str | None]
    prompt_id: Sequence[str | None]
    source: Sequence[str | None]

    @classmethod
    def of_columns(cls, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> PairTable:
        """From plain columns by name."""
        values: dict[str, Any] = {name: torch.tensor(columns[name], dtype=torch.long) for name in WHOLE}
        values |= {name: torch.tensor(columns[name], dtype=torch.float32) for name in REAL}
        values |= {name: list(columns[name]) for name in TEXT}
        return cls(**values)

    @classmethod
    def of_rows(cls, rows: Iterable[Sequence[Any]]) -> PairTable:
        """From rows with one value for each of `COLUMNS`."""
        columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
        return cls.of_columns(dict(zip(COLUMNS, columns, strict=True)))

    def __len__(self) -> int:
        return len(self.preference)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One tuple for each comparison, in the order of `COLUMNS`."""
        numbers = [getattr(self, name).tolist() for name in (*WHOLE, *REAL)]
        return zip(*numbers, *(getattr(self, name) for name in TEXT), strict=True)

    def select(self, indices: Int64[Tensor, " chosen"]) -> PairTable:
        """The chosen comparisons, in the order asked."""
        values: dict[str, Any] = {name: getattr(self, name)[indices] for name in (*WHOLE, *REAL)}
        rows = indices.tolist()
        values |= {name: [getattr(self, name)[row] for row in rows] for name in TEXT}
        return PairTable(**values)

    def check(self, images: Sequence[int], prompts: int) -> None:
        """Raise ValueError, naming the first comparison at fault, when one points outside or has no meaning."""
        sizes = {field.name: len(getattr(self, field.name)) for field in dataclasses.fields(self)}
        if len(set(sizes.values())) > 1:
            raise DinaError(f"the columns of the comparisons have different lengths: {sizes}")
        limit = torch.tensor([*images, 0])[self.bucket.clamp(-1, len(images))]
        faults = {
            f"bucket outside 0..{len(images) - 1}": (self.bucket < 0) | (self.bucket >= len(images)),
            f"prompt outside 0..{prompts - 1}": (self.prompt < 0) | (self.prompt >= prompts),
            "image_a outside its bucket's images": (self.image_a < 0) | (self.image_a >= limit),
            "image_b outside its bucket's images": (self.image_b < 0) | (self.image_b >= limit),
            "preference outside [0, 1]": ~((self.preference >= 0) & (self.preference <= 1)),
            "weight negative or not finite": ~((self.weight >= 0) & self.weight.isfinite()),
        }
        for fault, at in faults.items():
            if at.any():
                raise DinaError(
                    f"{int(at.sum())} comparisons have {fault}; the first is number {int(at.int().argmax())}"
                )
