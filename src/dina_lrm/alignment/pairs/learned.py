"""Which comparisons are learned from, in an order of their own, and what is left out and why.

The order of the file and which picture is called the first decide nothing: pairs are sorted by what they hold, and
their sides by the hashes of the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from dina_lrm.alignment.pairs.left_out import LeftOut
from dina_lrm.alignment.pairs.source import LONG, Found
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.pairs import PairTable
from dina_lrm.data.held_out import same_text
from dina_lrm.typed import DinaError

LOOKED_AT = "with prompts that are looked at"
TWO_SIZES = "with pictures of two sizes (prepare --pair-buckets common makes them one)"
ITSELF = "of a picture with itself"
ALONE = "of pictures judged alone, which --dpo.kind kto learns from"
TIES = "ties, which say nothing of either picture alone"
WEIGHTLESS = "of weight 0"
UNREADABLE = "with pictures that cannot be read"
_SIDES = ("bucket_a", "image_a", "bucket_b", "image_b")


@dataclass(frozen=True, eq=False)
class PairColumns:
    """Pairs of pictures by their places: `preference` is P(a preferred), `weight` is above 0."""

    bucket_a: Int64[Tensor, " pairs"]
    image_a: Int64[Tensor, " pairs"]
    bucket_b: Int64[Tensor, " pairs"]
    image_b: Int64[Tensor, " pairs"]
    prompt: Int64[Tensor, " pairs"]
    preference: Float[Tensor, " pairs"]
    weight: Float[Tensor, " pairs"]

    @classmethod
    def of_table(cls, table: PairTable) -> PairColumns:
        """Those of a table, without its names."""
        return cls(*(getattr(table, field.name) for field in fields(cls)))

    def __len__(self) -> int:
        return len(self.preference)

    def take(self, rows: Int64[Tensor, " rows"]) -> PairColumns:
        """Those of some rows, in the order asked."""
        return PairColumns(*(value[rows] for value in vars(self).values()))

    def swapped(self, where: Bool[Tensor, " pairs"]) -> PairColumns:
        """The same judgements, with the sides changed of some."""
        columns = {
            name: torch.where(where, getattr(self, other), getattr(self, name))
            for name, other in zip(_SIDES, (*_SIDES[2:], *_SIDES[:2]), strict=True)
        }
        return replace(self, **columns, preference=torch.where(where, 1 - self.preference, self.preference))

    @property
    def alone(self) -> Bool[Tensor, " pairs"]:
        """Which are of a picture with itself."""
        return (self.image_a == self.image_b) & (self.bucket_a == self.bucket_b)


@dataclass(frozen=True, eq=False)
class LearnedPairs:
    """What a run learns from, `trained`, and pairs whose prompts are looked at, `held`, of `found` comparisons.

    For `kto` trained and held are pictures, each of which is both sides of its row, liked where its preference is 1.
    """

    data: EncodedComparisons
    trained: PairColumns
    held: PairColumns
    found: int
    left_out: LeftOut
    both_sides: int = 0
    """Pictures that won one comparison and lost another for the same prompt."""

    @property
    def content(self) -> str:
        """What tells them from others, for a run that goes on."""
        return f"{len(self.trained)}, sha256 {self.data.content_hash}"

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts that are learned from, each once."""
        return tuple(self.data.prompts[row] for row in self.trained.prompt.unique().tolist())

    def told(self, kto: bool = False) -> str:
        """What was found, learned from and left out, in a sentence."""
        left = self.left_out.total
        parts = [f"{self.found} comparisons: {self.found - left} are learned from"]
        if kto:
            parts[0] += f", as {len(self.trained)} judged pictures"
        if left:
            parts.append(f"{left} are not: {self.left_out.told()}")
        if self.both_sides:
            parts.append(f"{self.both_sides} pictures are preferred in one and not in another for their prompt")
        return "; ".join(parts)


def learned_pairs(
    found: Found, readable: Callable[[str], bool], shown: Sequence[str], kto: bool = False
) -> LearnedPairs:
    """Choose among what was found: prompts that are not `readable`, those `shown` and what says nothing are left out.

    Raises:
        ValueError: where nothing is left to learn from, with the reasons.
    """
    data, left_out = found.data, LeftOut(found.left_out.counts.copy(), dict(found.left_out.first))
    number = len(data) + len(data.missing) + left_out.total
    left_out.add(UNREADABLE, len(data.missing), data.missing[0].reason if data.missing else "")
    kept = torch.ones(len(data), dtype=torch.bool)

    def leave(why: str, which: Bool[Tensor, " pairs"]) -> Bool[Tensor, " pairs"]:
        gone = which & kept
        left_out.add(why, int(gone.sum()))
        kept[gone] = False
        return gone

    looked_at = {same_text(prompt) for prompt in shown}
    leave(LONG, ~_of_prompts(data, [readable(prompt) for prompt in data.prompts]))
    for why, which in _faults(data, kto).items():
        leave(why, which)
    held = leave(LOOKED_AT, _of_prompts(data, [same_text(prompt) in looked_at for prompt in data.prompts]))
    assert int(kept.sum()) + left_out.total == number, "read + left out = found"
    if not kept.any():
        raise DinaError(f"--pairs: none of {number} comparisons can be learned from: {left_out.told()}")
    keys = _image_keys(data)
    parts = [_canonical(data, rows.nonzero().flatten(), keys) for rows in (kept, held)]
    trained, aside = (_judged(part) if kto else part for part in parts)
    return LearnedPairs(data, trained, aside, number, left_out, _both_sides(parts[0]))


def _of_prompts(data: EncodedComparisons, which: Sequence[bool]) -> Bool[Tensor, " pairs"]:
    return torch.tensor(which, dtype=torch.bool)[data.pairs.prompt]


def _faults(data: EncodedComparisons, kto: bool) -> dict[str, Bool[Tensor, " pairs"]]:
    """Which comparisons say nothing that could be learned, by reason."""
    pairs = PairColumns.of_table(data.pairs)
    tie = pairs.preference == 0.5
    always = {WEIGHTLESS: pairs.weight == 0}
    if kto:
        return {**always, TIES: tie}
    said = ALONE if bool(pairs.alone.all()) else ITSELF
    return {**always, TWO_SIZES: pairs.bucket_a != pairs.bucket_b, said: pairs.alone}


def _image_keys(data: EncodedComparisons) -> dict[tuple[int, int], str]:
    """The hash of the latents of each picture, by bucket and row."""
    return {(int(bucket), int(row)): str(told[-1]) for bucket, row, *told in data.told.images()}


def _canonical(data: EncodedComparisons, rows: Int64[Tensor, " rows"], keys: dict[tuple[int, int], str]) -> PairColumns:
    """The comparisons of some rows with their sides and in their order by what they hold."""
    table = data.pairs.select(rows)
    pairs = PairColumns.of_table(table)
    places = list(zip(*(getattr(pairs, side).tolist() for side in _SIDES), strict=True))
    told = [(keys[a, b], keys[c, d]) for a, b, c, d in places]
    swapped = torch.tensor([first > second for first, second in told], dtype=torch.bool)
    found = pairs.swapped(swapped)
    names = zip(
        [data.prompts[row] for row in table.prompt.tolist()],
        [tuple(sorted(pair)) for pair in told],
        found.preference.tolist(),
        found.weight.tolist(),
        [name or "" for name in table.pair_id],
        strict=True,
    )
    order = sorted(range(len(rows)), key=list(names).__getitem__)
    return found.take(torch.tensor(order, dtype=torch.long))


def _judged(pairs: PairColumns) -> PairColumns:
    """Each picture of each pair by itself: the preferred one liked, the other not; one judged alone is there once.

    Of shares of votes each weighs |2 p - 1|: as much as the pair says of it.
    """
    sure = replace(pairs, weight=pairs.weight * (2 * pairs.preference - 1).abs())
    everywhere = torch.ones(len(pairs), dtype=torch.bool)
    sides = (sure, sure.swapped(everywhere).take((~pairs.alone).nonzero().flatten()))
    rows = [
        replace(one, bucket_b=one.bucket_a, image_b=one.image_a, preference=(one.preference > 0.5).float())
        for one in sides
    ]
    return PairColumns(*(torch.cat(list(columns)) for columns in zip(*(vars(r).values() for r in rows), strict=True)))


def _both_sides(pairs: PairColumns) -> int:
    """How many pictures won one comparison and lost another, for one prompt."""
    told = pairs.take(((pairs.preference != 0.5) & ~pairs.alone).nonzero().flatten())
    losing_first = told.swapped(told.preference > 0.5)  # the winner is b
    lost, won = (
        set(zip(told.prompt.tolist(), bucket.tolist(), image.tolist(), strict=True))
        for bucket, image in (
            (losing_first.bucket_a, losing_first.image_a),
            (losing_first.bucket_b, losing_first.image_b),
        )
    )
    return len(won & lost)
