"""What a cache holds, as one hash, and the counts that `cache.json` records.

The content of a cache is a set: of images (key, bucket, hash of the latents), of prompts (text, hash of the
conditioning) and of comparisons (what they point at, and their labels). It does not depend on the order of rows, on how
they are cut into shards, or on who wrote them. The order of the comparisons, which decides what a training step sees,
has a hash of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from dina_lrm.data.cache import pairs
from dina_lrm.data.cache.fit import FitTally
from dina_lrm.data.cache.format import CacheHeader
from dina_lrm.data.cache.shards import ShardInfo

_PROMPT, _PREFERENCE = (pairs.COLUMNS.index(name) for name in ("prompt", "preference"))
_SIDES = tuple((pairs.COLUMNS.index(f"bucket_{side}"), pairs.COLUMNS.index(f"image_{side}")) for side in "ab")
_LABELS = tuple(place for place, name in enumerate(pairs.COLUMNS) if name in (*pairs.REAL, *pairs.TEXT))
_NAMED = pairs.COLUMNS.index(pairs.NAMED)
_COMMON_PREFERENCE = pairs.COMMON_COLUMNS.index("preference") - len(pairs.COMMON_COLUMNS)


class Tally:
    """Counts the rows of the tables of a cache as they pass: images and prompts first, then the comparisons.

    Each method takes a row and returns it. Memory: 32 bytes a row.
    """

    def __init__(self, made_by: CacheHeader) -> None:
        self._sizes = [f"{bucket.width}x{bucket.height}" for bucket in made_by.buckets]
        self._images: list[list[bytes]] = [[] for _ in made_by.buckets]
        self._prompts: list[bytes] = []
        self._pairs: list[bytes] = []
        self._order = hashlib.sha256()
        self._fit = FitTally(made_by.sizes)
        self._ties = self._truncated = self._dropped = 0

    def image(self, row: Sequence[Any]) -> Sequence[Any]:
        """A row of images.parquet."""
        bucket, _, _, key, width, height, sha256 = row
        if sha256:
            self._fit.count(bucket, width, height)
        self._images[bucket].append(_digest(key, self._sizes[bucket], sha256) if sha256 else b"")
        return row

    def prompt(self, row: Sequence[Any]) -> Sequence[Any]:
        """A row of prompts.parquet."""
        text, truncated, _, sha256 = row
        self._prompts.append(_digest(text, sha256) if sha256 else b"")
        self._truncated += truncated is not None
        return row

    def pair(self, row: Sequence[Any]) -> Sequence[Any]:
        """A row of pairs.parquet."""
        images = [self._images[row[bucket]][row[image]] for bucket, image in _SIDES]
        told = repr([row[place] for place in _LABELS]).encode()
        if row[_NAMED] is not None:  # else as earlier versions, which knew of none
            told += str(row[_NAMED]).encode()
        digest = hashlib.sha256(self._prompts[row[_PROMPT]] + b"".join(images) + told).digest()
        self._pairs.append(digest)
        self._order.update(digest)
        self._ties += row[_PREFERENCE] == 0.5
        return row

    def missing(self, row: Sequence[Any]) -> Sequence[Any]:
        """A row of missing.parquet."""
        self._dropped += 1
        return row

    def header(self, made_by: CacheHeader) -> CacheHeader:
        """`made_by` with the counts and the hashes filled in."""
        return dataclasses.replace(
            made_by,
            pairs=len(self._pairs),
            ties=self._ties,
            truncated_prompts=self._truncated,
            missing_pairs=self._dropped,
            content=self.content,
            order=self._order.hexdigest(),
            fit=self._fit.fit,
        )

    @property
    def content(self) -> str:
        """The hash of everything so far, whatever its order."""
        whole = hashlib.sha256(b"dina-lrm cache 2")
        images = [digest for table in self._images for digest in table]
        for part in (images, self._prompts, self._pairs):
            held = sorted(filter(None, part))
            whole.update(f" {len(held)} ".encode())
            for digest in held:
                whole.update(digest)
        return whole.hexdigest()


def _digest(*told: str) -> bytes:
    return hashlib.sha256("\0".join(told).encode(errors="surrogatepass")).digest()


class FirstTally:
    """The counts and the hash of the content as format 1 has them: of the shards' hashes and of the rows in order."""

    def __init__(self, shards: Iterable[ShardInfo]) -> None:
        self.pairs = self.ties = self.truncated_prompts = self.missing_pairs = 0
        self._digest = hashlib.sha256("".join(shard.sha256 for shard in shards).encode())

    def count(
        self,
        rows: Iterable[Sequence[Any]],
        prompts: Iterable[Sequence[Any]],
        missing: Iterable[Sequence[Any]],
    ) -> None:
        """Count the comparisons, the prompts (text and what was cut first), and what is missing."""
        for row in rows:
            self._digest.update(repr(tuple(row)).encode())
            self.pairs += 1
            self.ties += row[_COMMON_PREFERENCE] == 0.5
        for text, truncated, *_ in prompts:
            self._digest.update(repr(text).encode())
            self.truncated_prompts += truncated is not None
        self.missing_pairs += sum(1 for _ in missing)

    @property
    def content(self) -> str:
        """The hash of everything so far."""
        return self._digest.hexdigest()
