"""Comparisons whose images and prompts are encoded: what training and evaluation read.

The latents of every unique image and the conditioning of every unique prompt are stored once; a comparison is a row of
numbers that point at them. `batch` gathers what some comparisons need and repeats nothing: an image that several
comparisons of one prompt share is one row of the batch.

    data = EncodedComparisons.load("cache", backbone.config)
    plan = BatchPlan(data.buckets, 64, seed=0, prompts=data.pairs.prompt)
    batch = data.batch(plan.batch(step))
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.data.cache import format as layout
from dina_lrm.data.cache import tables
from dina_lrm.data.cache.batch import ComparisonBatch, SizedImages, conditioning_rows
from dina_lrm.data.cache.content import FirstTally
from dina_lrm.data.cache.format import BackboneIdentity, BucketShards, CacheHeader, Missing
from dina_lrm.data.cache.pairs import PairTable, buckets_of_kind
from dina_lrm.data.cache.place import place_of
from dina_lrm.data.cache.prompt_layout import conditioning_tensors, packed, unpacked
from dina_lrm.data.cache.remote.copies import LocalCopies
from dina_lrm.data.cache.row_buffers import RowBuffers, cast_into
from dina_lrm.data.cache.rows import RowsTold, computed_rows_told, first_names, stored_rows_told
from dina_lrm.data.cache.shards import (
    ShardedRows,
    ShardInfo,
    check_finite,
    row_count,
    shard_name,
    tensors_hash,
    write_shard,
    write_shards,
)
from dina_lrm.data.named import as_text, named_preferences
from dina_lrm.runs.files import folder_replaced_when_complete
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


class EncodedComparisons:
    """A set of encoded comparisons, in memory or read row by row from a cache folder.

    Made by `encode_comparisons`, `load` or `from_tensors`. `latents` has one table for each bucket, `conditioning` one
    row for each of `prompts`; `pairs` points into them. `missing` lists the comparisons that are not in the set because
    an image of theirs could not be read. `header` says what encoded the set, None when that is not known.
    """

    def __init__(
        self,
        latents: Sequence[ShardedRows],
        conditioning: ShardedRows,
        prompts: Sequence[str],
        truncated: Sequence[str | None],
        pairs: PairTable,
        missing: Sequence[Missing] = (),
        header: CacheHeader | None = None,
        told: RowsTold | None = None,
    ) -> None:
        self.latents, self.conditioning = tuple(latents), conditioning
        self.prompts, self.truncated = tuple(prompts), tuple(truncated)
        self.pairs, self.missing, self.header = pairs, tuple(missing), header
        self.told = told or computed_rows_told(self.latents, conditioning, self.prompts, self.truncated)
        """What each image and prompt is, beside its tensors."""
        if not len(self.prompts) == len(self.truncated) == len(conditioning):
            counts = f"{len(self.prompts)} prompts, {len(self.truncated)} notes, {len(conditioning)} rows"
            raise DinaError(f"the conditioning does not fit the prompts: {counts}")
        pairs.check([len(table) for table in self.latents], len(self.prompts))

    @classmethod
    def from_tensors(
        cls,
        latents: Float[Tensor, "images channels height width"] | Sequence[Float[Tensor, "_ channels _ _"]],
        conditioning: Conditioning,
        image_a: Int64[Tensor, " pairs"],
        image_b: Int64[Tensor, " pairs"],
        prompt: Int64[Tensor, " pairs"],
        preference: Float[Tensor, " pairs"],
        weight: Float[Tensor, " pairs"] | None = None,
        bucket: Int64[Tensor, "pairs ..."] | None = None,
        prompts: Sequence[str] | None = None,
        pair_id: Sequence[str | None] | None = None,
        source: Sequence[str | None] | None = None,
        preferences: Sequence[Mapping[str, float]] | None = None,
    ) -> EncodedComparisons:
        """Comparisons of tensors in memory: images and prompts by their row numbers.

        Several tensors of latents are several buckets: `bucket` then says for each comparison which one its images are
        rows of; with two columns, which one each of them is a row of. `preferences` says P(a preferred) by the names
        of scores.
        """
        tables = [latents] if isinstance(latents, Tensor) else list(latents)
        if bucket is None and len(tables) > 1:
            raise DinaError(f"latents has {len(tables)} buckets; say with `bucket` which one each comparison is of")
        for number, table in enumerate(tables):
            check_finite(f"latents of bucket {number}", {"latents": table})
        count = len(preference)
        bucket = torch.zeros(count, dtype=torch.long) if bucket is None else bucket
        bucket_a, bucket_b = (bucket, bucket) if bucket.ndim == 1 else bucket.unbind(1)
        pairs = PairTable(
            number=torch.arange(count),
            prompt=prompt,
            bucket_a=bucket_a,
            image_a=image_a,
            bucket_b=bucket_b,
            image_b=image_b,
            preference=preference.float(),
            weight=torch.ones(count) if weight is None else weight.float(),
            pair_id=[None] * count if pair_id is None else list(pair_id),
            prompt_id=[None] * count,
            source=[None] * count if source is None else list(source),
            preferences=[as_text(named_preferences(told, "preferences")) for told in preferences or ()],
        )
        return cls(
            [ShardedRows.of_tensors({"latents": table}) for table in tables],
            ShardedRows.of_tensors(conditioning_tensors(conditioning)),
            [""] * len(conditioning) if prompts is None else prompts,
            conditioning.truncated or [None] * len(conditioning),
            pairs,
        )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        backbone: Backbone | BackboneConfig | None = None,
        copies: LocalCopies | None = None,
    ) -> EncodedComparisons:
        """Open a cache folder, its tensors read where they are wanted; with `backbone`, only one that was made for it.

        `folder` may be an address, such as `https://HOST/cache` or `s3://BUCKET/cache`: `copies` says where what is
        fetched from there is kept, and how much of it (`place_of`).

        Raises:
            FileNotFoundError: there is no complete cache in `folder`.
            ValueError: another backbone or another format version made it, or a file of it is not what was written: the
                tables are compared with their hashes here, a row of a tensor when it is first read.
        """
        place = place_of(folder, copies)
        folder, header = place.folder, layout.read_header(place.folder)
        if isinstance(backbone, BackboneConfig):
            header.check_backbone(backbone, place.shown)
        elif backbone is not None:
            header.check_backbone(backbone.config, place.shown)
            header.check_scale(backbone.latent_scale, backbone.latent_shift, place.shown)
        tables.check_recorded(folder, tables.IMAGES_FILE, header)  # read when it is saved: a part of what was written
        pairs, prompts, missing = (
            tables.read_columns(folder, name, header)
            for name in (tables.PAIRS_FILE, tables.PROMPTS_FILE, tables.MISSING_FILE)
        )
        hashes = tables.row_hashes(folder, header)
        latents = [
            place.rows(bucket.shards, None if hashes is None else hashes.images[number])
            for number, bucket in enumerate(header.buckets)
        ]
        conditioning = place.rows(header.prompts, None if hashes is None else hashes.prompts)
        texts, truncated = list(prompts["text"]), list(prompts["truncated"])
        if header.format_version > 1:
            told = stored_rows_told(folder, header)
        else:
            told = computed_rows_told(latents, conditioning, texts, truncated, partial(first_names, folder, header))
        left_out = [Missing(int(number), *said) for number, *said in zip(*missing.values(), strict=True)]
        loaded = cls(latents, conditioning, texts, truncated, PairTable.of_columns(pairs), left_out, header, told)
        loaded._check_recorded(folder)
        return loaded

    def _check_recorded(self, folder: Path) -> None:
        """Raise ValueError where the rows that were read are not those that `cache.json` counted and hashed."""
        header = self.header
        assert header is not None
        content = header.content
        if not header.tables:  # an earlier version recorded no hash of its tables: the one of all rows stands for them
            tally = FirstTally(header.shards)
            tally.count(*self._rows())
            content = tally.content
        found = (len(self), int((self.preference == 0.5).sum()), len(self.missing), content)
        recorded = (header.pairs, header.ties, header.missing_pairs, header.content)
        if found != recorded:
            names = ("pairs", "ties", "missing pairs", "content")
            wrong = [f"{n} {f!r} (recorded: {r!r})" for n, f, r in zip(names, found, recorded, strict=True) if f != r]
            raise DinaError(
                f"{folder}: its tables hold {', '.join(wrong)}; they were changed since the cache was made: encode the "
                "comparisons again"
            )

    def save(self, folder: str | Path, backbone: BackboneConfig | None = None) -> None:
        """Write the set as a cache folder, which appears when it is complete.

        `backbone` says what encoded the latents and prompts; a set that was loaded or encoded here knows it already.

        Raises:
            FileExistsError: `folder` exists.
            ValueError: nothing says which backbone encoded the set.
        """
        folder = Path(folder)
        identity = BackboneIdentity.of(backbone) if backbone is not None else self.header and self.header.backbone
        if not identity:
            raise DinaError("which backbone encoded this set is not known; give save(folder, backbone=its config)")
        if folder.exists():
            raise FileExistsError(f"{folder} exists; choose another folder, or remove it first")
        made_by = self._made_by(identity)
        with folder_replaced_when_complete(folder) as partial_folder:
            buckets = tuple(
                dataclasses.replace(bucket, shards=write_shards(partial_folder, layout.latents_prefix(number), table))
                for number, (bucket, table) in enumerate(zip(made_by.buckets, self.latents, strict=True))
            )
            prompts = tuple(
                write_shard(partial_folder, shard_name(layout.PROMPTS_PREFIX, number), columns)
                for number, columns in enumerate(self._packed_prompts(identity))
            )
            missing = (dataclasses.astuple(entry) for entry in self.missing)
            tables.write_tables(
                partial_folder,
                dataclasses.replace(made_by, buckets=buckets, prompts=prompts),
                tables.Tables(self.pairs.rows(), self.told.prompts(), missing, self.told.images()),
            )

    def _packed_prompts(self, identity: BackboneIdentity) -> Iterator[dict[str, Tensor]]:
        for columns in self.conditioning.shards():
            told = unpacked(columns)
            yield packed(told, identity.prompt_layout(told.shape))

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def preference(self) -> Float32[Tensor, " pairs"]:
        """P(first image preferred) of each comparison."""
        return self.pairs.preference

    @property
    def weight(self) -> Float32[Tensor, " pairs"]:
        """Weight of each comparison in the loss."""
        return self.pairs.weight

    @property
    def buckets(self) -> Int64[Tensor, " pairs"]:
        """A number for the size of the images of each comparison, or for the two sizes (`PairTable.kind`)."""
        return self.pairs.kind

    @property
    def images(self) -> int:
        """Number of encoded images."""
        return sum(len(table) for table in self.latents)

    def sizes(self) -> dict[str, int]:
        """Comparisons by the size of their images in pixels, WIDTHxHEIGHT; empty where no header says it.

        Of two sizes are WIDTHxHEIGHT+WIDTHxHEIGHT.
        """
        used = Counter(self.buckets.tolist())
        buckets = () if self.header is None else self.header.buckets
        return {
            "+".join(_size(buckets[n]) for n in buckets_of_kind(kind)): used[kind] for kind in sorted(used) if buckets
        }

    def subset(self, indices: Int64[Tensor, " chosen"]) -> EncodedComparisons:
        """The chosen comparisons, sharing all tensors; what was missing stays listed with the whole set."""
        pairs, header = self.pairs.select(indices), self.header
        if header is not None:
            content = hashlib.sha256(f"{header.content} {indices.tolist()}".encode()).hexdigest()
            ties = int((pairs.preference == 0.5).sum())
            header = dataclasses.replace(header, pairs=len(pairs), ties=ties, content=content)
        return EncodedComparisons(
            self.latents, self.conditioning, self.prompts, self.truncated, pairs, (), header, self.told
        )

    def about(self, score: str) -> EncodedComparisons:
        """The comparisons that say something of a score, with that as their plain preference; the rest is left out."""
        label = self.pairs.labels.get(score)
        if label is None:
            raise DinaError(f"score {score!r}: no comparison says anything of it; said: {self.pairs.counts()}")
        kept = label.isfinite().nonzero().flatten()
        return self.subset(kept).with_preference(label[kept], f"about {score}")

    def with_named(self, labels: Mapping[str, Float32[Tensor, " pairs"]], why: str) -> EncodedComparisons:
        """The same comparisons that say `labels` (NaN: nothing) of scores, whatever they said of these before."""
        return self.with_pairs(self.pairs.saying(labels), why)

    def with_pairs(self, pairs: PairTable, why: str) -> EncodedComparisons:
        """Other comparisons of the same images and prompts; `why` makes the content hash another one."""
        header = self.header
        if header is not None:
            content = hashlib.sha256(f"{header.content} {why}".encode()).hexdigest()
            ties = int((pairs.preference == 0.5).sum())
            header = dataclasses.replace(header, pairs=len(pairs), ties=ties, content=content)
        return EncodedComparisons(
            self.latents, self.conditioning, self.prompts, self.truncated, pairs, self.missing, header, self.told
        )

    def with_preference(self, preference: Float32[Tensor, " pairs"], why: str) -> EncodedComparisons:
        """The same comparisons with other labels, sharing all tensors; `why` makes the content hash another one.

        Raises:
            ValueError: a label outside [0, 1].
        """
        bad = ~((preference >= 0) & (preference <= 1))
        if bad.any():
            raise DinaError(f"preference[{int(bad.nonzero()[0])}] is {float(preference[bad][0])}; accepted: [0, 1]")
        return self.with_pairs(dataclasses.replace(self.pairs, preference=preference), why)

    def batch(
        self,
        indices: Int64[Tensor, " chosen"],
        beside: Int64[Tensor, "beside 3"] | None = None,
        scores: Mapping[str, float] | None = None,
        into: RowBuffers | None = None,
    ) -> ComparisonBatch:
        """What the chosen comparisons need, on the CPU: latents in float32, the conditioning as it is stored.

        `beside` are further images to read (`PairTable.looks`), that no comparison of the batch need be about.
        `scores` asks for what is said by name, of these scores, each with its weight; none or empty: for the plain
        preferences. The batch lies in the memory of `into`, where that is given, until the next one is read into it.

        Raises:
            ValueError: no comparison, and nothing beside.
        """
        pairs = self.pairs
        looks = pairs.looks(indices)
        if beside is not None:
            looks = torch.cat([looks, beside])
        if len(looks) == 0:
            raise DinaError("a batch of no comparisons; accepted: at least one")
        wanted, place = looks.unique(dim=0, return_inverse=True)
        prompt_rows, group = wanted[:, 1].unique(return_inverse=True)
        conditioning = self.conditioning_of(prompt_rows, None if into is None else into.within("prompts"))
        sized = []
        for number, bucket in enumerate(wanted[:, 0].unique().tolist()):
            here = wanted[:, 0] == bucket
            groups, member = group[here].unique(return_inverse=True)
            held, rows = None if into is None else into.within(number), wanted[here, 2]
            stored = self.latents[bucket].rows(rows, held)["latents"]
            latents = cast_into(stored, torch.float32, "float latents", held)
            told = conditioning_rows(conditioning, group[here], held)
            sized.append(SizedImages(latents, told, groups, member, rows))
        first, second = place[: 2 * len(indices)].chunk(2)
        labels = (pairs.preference[indices], pairs.weight[indices])
        named = pairs.judgements(indices, scores) if scores else None
        return ComparisonBatch(tuple(sized), first, second, prompt_rows, *labels, beside is not None, named)

    def conditioning_of(self, prompts: Int64[Tensor, " prompts"], into: RowBuffers | None = None) -> Conditioning:
        """The conditioning of prompts by their row numbers; in the memory of `into`, where that is given."""
        truncated = tuple(self.truncated[row] for row in prompts.tolist())
        return Conditioning(**self.conditioning.rows(prompts, into), truncated=truncated)

    @cached_property
    def content_hash(self) -> str:
        """One hash of all tensors, prompts and labels, and of the order of the comparisons: what a run records to know
        its data again.
        """
        if self.header is not None:
            order = self.header.order
            return (
                hashlib.sha256(f"{self.header.content} {order}".encode()).hexdigest() if order else self.header.content
            )
        tally = FirstTally(
            ShardInfo("", row_count(shard), tensors_hash(shard))
            for table in (*self.latents, self.conditioning)
            for shard in table.shards()
        )
        tally.count(*self._rows())
        if not any(self.pairs.preferences):
            return tally.content
        return hashlib.sha256(f"{tally.content} {list(self.pairs.preferences)}".encode()).hexdigest()

    def _rows(self) -> tuple[Iterable[Sequence[Any]], Iterable[Sequence[Any]], Iterable[Sequence[Any]]]:
        """Rows of comparisons, prompts (text, what was cut) and what is missing, as the first format hashes them."""
        missing = (dataclasses.astuple(entry) for entry in self.missing)
        rows = self.pairs.common_rows() if self.pairs.common else (row[:-1] for row in self.pairs.rows())
        return rows, zip(self.prompts, self.truncated, strict=True), missing

    def _made_by(self, identity: BackboneIdentity) -> CacheHeader:
        if self.header is not None:
            return dataclasses.replace(self.header, backbone=identity, format_version=layout.FORMAT_VERSION)
        dtype = next(iter(self.latents[0].shards()))["latents"].dtype
        buckets = tuple(BucketShards(None, None, ()) for _ in self.latents)
        return CacheHeader(identity, str(dtype).removeprefix("torch."), None, buckets, ())


def _size(bucket: BucketShards) -> str:
    return f"{bucket.width}x{bucket.height}"
