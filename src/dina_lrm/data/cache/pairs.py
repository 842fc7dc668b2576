"""The table of encoded comparisons: a few numbers for each, pointing at images and prompts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from dina_lrm.typed import DinaError

WHOLE = ("number", "prompt", "bucket_a", "image_a", "bucket_b", "image_b")
REAL = ("preference", "weight")
TEXT = ("pair_id", "prompt_id", "source")
COLUMNS = (*WHOLE, *REAL, *TEXT)
COMMON_WHOLE = ("number", "prompt", "bucket", "image_a", "image_b")
COMMON_COLUMNS = (*COMMON_WHOLE, *REAL, *TEXT)
"""Of comparisons whose two images have one bucket: what the first format of a cache has."""
MIXED: Final = 1 << 20
"""From here on, numbers of `PairTable.kind` are of two buckets."""


def buckets_of_kind(kind: int) -> tuple[int, ...]:
    """The one or two buckets that a number of `PairTable.kind` stands for."""
    return (kind,) if kind < MIXED else (kind // MIXED - 1, kind % MIXED)


@dataclass(frozen=True, eq=False)
class PairTable:
    """One row for each comparison.

    `number` is its place in the stream that was encoded (places of comparisons that could not be encoded are absent);
    `prompt` is a row of the prompts, `image_a` a row of the images of `bucket_a`, `image_b` one of `bucket_b`, and
    `preference` is P(a preferred).
    """

    number: Int64[Tensor, " pairs"]
    prompt: Int64[Tensor, " pairs"]
    bucket_a: Int64[Tensor, " pairs"]
    image_a: Int64[Tensor, " pairs"]
    bucket_b: Int64[Tensor, " pairs"]
    image_b: Int64[Tensor, " pairs"]
    preference: Float32[Tensor, " pairs"]
    weight: Float32[Tensor, " pairs"]
    pair_id: Sequence[str | None]
    prompt_id: Sequence[str | None]
    source: Sequence[str | None]

    @classmethod
    def of_columns(cls, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> PairTable:
        """From plain columns by name; one column `bucket` is that of both images."""
        columns = (
            {"bucket_a": columns["bucket"], "bucket_b": columns["bucket"], **columns}
            if "bucket" in columns
            else columns
        )
        values: dict[str, Any] = {name: torch.tensor(columns[name], dtype=torch.long) for name in WHOLE}
        values |= {name: torch.tensor(columns[name], dtype=torch.float32) for name in REAL}
        values |= {name: list(columns[name]) for name in TEXT}
        return cls(**values)

    @classmethod
    def of_rows(cls, rows: Iterable[Sequence[Any]], names: Sequence[str] = COLUMNS) -> PairTable:
        """From rows with one value for each of `names`: `COLUMNS`, or `COMMON_COLUMNS`."""
        columns = list(zip(*rows, strict=True)) or [()] * len(names)
        return cls.of_columns(dict(zip(names, columns, strict=True)))

    def __len__(self) -> int:
        return len(self.preference)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One tuple for each comparison, in the order of `COLUMNS`."""
        return self._rows((*WHOLE, *REAL))

    def common_rows(self) -> Iterator[tuple[Any, ...]]:
        """One tuple for each comparison, in the order of `COMMON_COLUMNS`. ValueError where one has two buckets."""
        mixed = self.bucket_a != self.bucket_b
        if mixed.any():
            raise DinaError(
                f"{int(mixed.sum())} of {len(self)} comparisons have images of two buckets; accepted here: one bucket "
                "for both (pair_buckets common)"
            )
        return self._rows(("number", "prompt", "bucket_a", "image_a", "image_b", *REAL))

    def _rows(self, numbers: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        values = [getattr(self, name).tolist() for name in numbers]
        return zip(*values, *(getattr(self, name) for name in TEXT), strict=True)

    @property
    def common(self) -> bool:
        """Whether both images of every comparison have one bucket."""
        return torch.equal(self.bucket_a, self.bucket_b)

    @property
    def kind(self) -> Int64[Tensor, " pairs"]:
        """A number for the two sizes of a comparison, whichever side has which.

        It is the bucket's where both images are of one, and at least `MIXED` where they are of two.
        """
        low, high = torch.minimum(self.bucket_a, self.bucket_b), torch.maximum(self.bucket_a, self.bucket_b)
        return torch.where(low == high, low, MIXED * (low + 1) + high)

    def select(self, indices: Int64[Tensor, " chosen"]) -> PairTable:
        """The chosen comparisons, in the order asked."""
        values: dict[str, Any] = {name: getattr(self, name)[indices] for name in (*WHOLE, *REAL)}
        rows = indices.tolist()
        values |= {name: [getattr(self, name)[row] for row in rows] for name in TEXT}
        return PairTable(**values)

    def looks(self, indices: Int64[Tensor, " chosen"]) -> Int64[Tensor, "looks 3"]:
        """Bucket, prompt and row of the first images of the chosen comparisons, then of the second ones."""
        a = (self.bucket_a[indices], self.prompt[indices], self.image_a[indices])
        b = (self.bucket_b[indices], self.prompt[indices], self.image_b[indices])
        return torch.cat([torch.stack(a, dim=1), torch.stack(b, dim=1)])

    def check(self, images: Sequence[int], prompts: int) -> None:
        """Raise ValueError, naming the first comparison at fault, when one points outside or has no meaning."""
        sizes = {field.name: len(getattr(self, field.name)) for field in dataclasses.fields(self)}
        if len(set(sizes.values())) > 1:
            raise DinaError(f"the columns of the comparisons have different lengths: {sizes}")
        faults = {f"prompt outside 0..{prompts - 1}": (self.prompt < 0) | (self.prompt >= prompts)}
        for side, bucket, image in (("a", self.bucket_a, self.image_a), ("b", self.bucket_b, self.image_b)):
            limit = torch.tensor([*images, 0])[bucket.clamp(-1, len(images))]
            faults[f"bucket_{side} outside 0..{len(images) - 1}"] = (bucket < 0) | (bucket >= len(images))
            faults[f"image_{side} outside its bucket's images"] = (image < 0) | (image >= limit)
        faults |= {
            "preference outside [0, 1]": ~((self.preference >= 0) & (self.preference <= 1)),
            "weight negative or not finite": ~((self.weight >= 0) & self.weight.isfinite()),
        }
        for fault, at in faults.items():
            if at.any():
                raise DinaError(
                    f"{int(at.sum())} comparisons have {fault}; the first is number {int(at.int().argmax())}"
                )
