"""The table of encoded comparisons: a few numbers for each, pointing at images and prompts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from dina_lrm.data.cache.batch import Judgements
from dina_lrm.data.named import as_text, told_by_name
from dina_lrm.typed import DinaError

WHOLE = ("number", "prompt", "bucket_a", "image_a", "bucket_b", "image_b")
REAL = ("preference", "weight")
TEXT = ("pair_id", "prompt_id", "source")
NAMED: Final = "preferences"
"""What is said by name (`data/named.py`), as JSON text; caches of earlier versions have no such column."""
SAYS_NOTHING: Final = "{}"
"""In the column of what is said by name: not even the plain preference is about a score."""
COLUMNS = (*WHOLE, *REAL, *TEXT, NAMED)
_TENSORS: Final = (*WHOLE, *REAL)
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
    preferences: Sequence[str | None] = ()
    """Where there are none at all, nothing is said by name."""
    shares: Mapping[str, Float32[Tensor, " pairs"]] = dataclasses.field(default_factory=dict)
    """Weights of what comparisons say of a score, by its name, in the place of their own; kept in memory alone."""

    def __post_init__(self) -> None:
        if not self.preferences:
            object.__setattr__(self, NAMED, [None] * len(self))

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
        return cls(**values, preferences=list(columns.get(NAMED, ())))

    @classmethod
    def of_rows(cls, rows: Iterable[Sequence[Any]], names: Sequence[str] = COLUMNS) -> PairTable:
        """From rows with one value for each of `names`: `COLUMNS`, or `COMMON_COLUMNS`."""
        columns = list(zip(*rows, strict=True)) or [()] * len(names)
        return cls.of_columns(dict(zip(names, columns, strict=True)))

    def __len__(self) -> int:
        return len(self.preference)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One tuple for each comparison, in the order of `COLUMNS`."""
        return self._rows((*WHOLE, *REAL), (*TEXT, NAMED))

    def common_rows(self) -> Iterator[tuple[Any, ...]]:
        """One tuple for each comparison, in the order of `COMMON_COLUMNS`. ValueError where one has two buckets."""
        mixed = self.bucket_a != self.bucket_b
        if mixed.any():
            raise DinaError(
                f"{int(mixed.sum())} of {len(self)} comparisons have images of two buckets; accepted here: one bucket "
                "for both (pair_buckets common)"
            )
        return self._rows(("number", "prompt", "bucket_a", "image_a", "image_b", *REAL), TEXT)

    def _rows(self, numbers: Sequence[str], texts: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        values = [getattr(self, name).tolist() for name in numbers]
        return zip(*values, *(getattr(self, name) for name in texts), strict=True)

    @cached_property
    def labels(self) -> Mapping[str, Float32[Tensor, " pairs"]]:
        """P(a preferred) by the name of the score that it is about; NaN where a comparison says nothing of it."""
        found: dict[str, Tensor] = {}
        told = zip(self.preferences, self.preference.tolist(), strict=True)
        for row, (text, plain) in enumerate(told):
            for name, value in told_by_name(text, plain).items():
                if name not in found:
                    found[name] = torch.full((len(self),), torch.nan)
                found[name][row] = value
        return found

    def counts(self) -> dict[str, int]:
        """How many comparisons say something of each score, by name."""
        return {name: int(label.isfinite().sum()) for name, label in sorted(self.labels.items())}

    def saying(self, labels: Mapping[str, Float32[Tensor, " pairs"]]) -> PairTable:
        """The same comparisons that say `labels` (NaN: nothing) of scores, whatever they said of these before."""
        every = {**self.labels, **labels}
        rows = zip(*(label.tolist() for label in every.values()), strict=True)
        told = [tuple((n, v) for n, v in zip(every, row, strict=True) if not math.isnan(v)) for row in rows]
        return dataclasses.replace(self, preferences=[as_text(one) or SAYS_NOTHING for one in told])

    def followed_by(self, other: PairTable) -> PairTable:
        """These comparisons and, behind them, those of another table on the same images and prompts."""
        values: dict[str, Any] = {name: torch.cat([getattr(self, name), getattr(other, name)]) for name in _TENSORS}
        values |= {name: [*getattr(self, name), *getattr(other, name)] for name in (*TEXT, NAMED)}
        return PairTable(**values)

    def judgements(self, indices: Int64[Tensor, " chosen"], scores: Mapping[str, float]) -> Judgements:
        """What the chosen comparisons say of `scores`, each with its weight, or with none their plain preferences."""
        if not scores:
            return Judgements.plain(self.preference[indices], self.weight[indices])
        labels = {name: label[indices] for name, label in self.labels.items() if name in scores}
        shares = {name: share[indices] for name, share in self.shares.items()}
        return Judgements.by_name(labels, self.weight[indices], scores, shares)

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
        values |= {name: [getattr(self, name)[row] for row in rows] for name in (*TEXT, NAMED)}
        return PairTable(**values, shares={name: share[indices] for name, share in self.shares.items()})

    def looks(self, indices: Int64[Tensor, " chosen"]) -> Int64[Tensor, "looks 3"]:
        """Bucket, prompt and row of the first images of the chosen comparisons, then of the second ones."""
        a = (self.bucket_a[indices], self.prompt[indices], self.image_a[indices])
        b = (self.bucket_b[indices], self.prompt[indices], self.image_b[indices])
        return torch.cat([torch.stack(a, dim=1), torch.stack(b, dim=1)])

    def check(self, images: Sequence[int], prompts: int) -> None:
        """Raise ValueError, naming the first comparison at fault, when one points outside or has no meaning."""
        sizes = {name: len(getattr(self, name)) for name in COLUMNS}
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
