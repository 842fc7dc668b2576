"""Comparisons added to a finished cache: what it does not hold yet is encoded behind what it holds.

    CACHE                  whole until the end, and only read
    CACHE.added.partial    the plan, whose rows begin behind those of CACHE, and the shards of what is new
    CACHE.added            a cache of both, the shards of CACHE linked into it; it then takes the name of CACHE

Killed on the way, whatever is there is gone on with when the same is given again.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import torch

from dina_lrm.backbones.settings import EncoderSettings
from dina_lrm.cards.bases import UNKNOWN, licence_of
from dina_lrm.cards.data_sets import DataSet, cache_card
from dina_lrm.data.buckets import Bucket, Sizes
from dina_lrm.data.cache.format import HEADER, CacheHeader, partial_folder, read_header
from dina_lrm.data.cache.whole import WholeCache
from dina_lrm.data.comparison import Comparison, shuffle_sides
from dina_lrm.data.encoding.comparisons import encode_by, encoded_buckets
from dina_lrm.data.encoding.launched import Launch, is_finished, is_first, is_launched
from dina_lrm.data.encoding.plan import PLAN, Plan, PlanReader
from dina_lrm.data.encoding.planning import plan_comparisons
from dina_lrm.data.encoding.prepared import (
    Encoders,
    Prepared,
    check_writers,
    computed_in,
    described,
    opened_cache,
    writers_of,
)
from dina_lrm.data.encoding.settings import SHARD_BYTES, EncodingSettings, OnBad, PairBuckets
from dina_lrm.data.encoding.writing import Writing
from dina_lrm.data.named_source import NamedSource
from dina_lrm.data.sources.carded import licence_beside, shown_source
from dina_lrm.engines.settings import RayEngine
from dina_lrm.runs.files import recover_folder, replace_folder
from dina_lrm.runs.lock import held_name, one_writer
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

_BATCH: Final = 16
"""Rows that are encoded at once where the cache does not say how many of its were."""


@dataclass(frozen=True)
class Counts:
    """What was given, by what came of it: `comparisons` are `pairs` + `known_pairs` + `missing` + `listed`, which are
    missing and were listed as that already. Pictures count once for each bucket they are in.
    """

    comparisons: int
    pairs: int
    known_pairs: int
    missing: int
    listed: int
    pictures: int
    known_pictures: int
    prompts: int
    known_prompts: int

    def __str__(self) -> str:
        """What came of them, in a sentence."""
        told = (
            f"{self.pairs} of {self.comparisons} comparisons added, {self.known_pairs} there already; {self.pictures} "
            f"pictures and {self.prompts} prompts encoded, {self.known_pictures} and {self.known_prompts} known"
        )
        listed = f", {self.listed} of them listed already" if self.listed else ""
        return f"{told}; {self.missing + self.listed} lack a picture{listed}" if self.missing + self.listed else told

    def after(self, before: CacheHeader, held: CacheHeader) -> Counts:
        """The same when all is encoded: some comparisons may have turned out to lack a picture."""
        pairs, missing = held.pairs - before.pairs, held.missing_pairs - before.missing_pairs
        listed = self.comparisons - self.known_pairs - pairs - missing
        return replace(self, pairs=pairs, missing=missing, listed=listed)


@dataclass(frozen=True, eq=False)
class Added:
    """The cache with what was added to it."""

    prepared: Prepared
    counts: Counts

    def __str__(self) -> str:
        """What was added, and what it holds."""
        return f"{self.counts}. {self.prepared}"

    def to_dict(self) -> dict[str, Any]:
        """The counts, and what the cache holds, as plain values."""
        return {"added": asdict(self.counts), **self.prepared.to_dict()}


@dataclass(frozen=True)
class Asked:
    """How a user wants it encoded, as far as they say; a cache decides all of it by itself."""

    backbone: str | None = None
    """Another place of the same generator is accepted."""
    dtype: str | None = None
    sizes: Sizes | None = None
    prompt_length: int | None = None
    prompt_padding: str | None = None
    pair_buckets: str | None = None

    def check(self, header: CacheHeader, folder: Path) -> None:
        """Raise ValueError where something else is wanted than the cache has, with both values."""
        self._check_sizes(header, folder)
        for name in ("dtype", "prompt_length", "prompt_padding", "pair_buckets"):
            given = getattr(self, name)
            held = getattr(header.backbone if name.startswith("prompt_") else header, name)
            if given is not None and given != held:
                option = "--" + name.replace("_", "-")
                raise DinaError(
                    f"{folder}: {name} {given!r} was asked for, the cache has {held!r}; accepted: {option} {held}, or "
                    "the option left out"
                )

    def _check_sizes(self, header: CacheHeader, folder: Path) -> None:
        held, given = header.wanted_sizes, self.sizes
        if given is None or (held is not None and held.same_as(given)):
            return
        raise DinaError(
            f"{folder}: pictures of {given} were asked for, the cache has {held or 'sizes that it does not say'}; "
            "accepted: its own, or --resolution and --buckets left out"
        )


def add_comparisons(
    folder: Path,
    source: NamedSource,
    out: Path | None = None,
    *,
    asked: Asked | None = None,
    shuffle: bool = False,
    on_bad: OnBad = "skip",
    shard_bytes: int = SHARD_BYTES,
    device: str | None = "cpu",
    compute_dtype: torch.dtype | None = None,
    encoders: EncoderSettings | None = None,
    processes: int = 1,
    engine: RayEngine | None = None,
    reading: ReportProgress | None = None,
    progress: ReportProgress | None = None,
) -> Added:
    """Add the comparisons of `source` to the cache `folder`, or write both into the folder `out`.

    Pictures and prompts that the cache holds are not encoded again, and a comparison that it holds is not added: one of
    the same prompt, the same pictures by their content on the same sides, and the same preference, weight, pair id,
    prompt id and source. Generator, sizes and types are the cache's; what is `asked` for otherwise is refused. Its
    content is then that of one `prepare` over both, where rows do not depend on the batch that they are encoded in
    (float32 on the CPU). The other options are those of `prepare`, and so is what the processes of a launch do: what
    the others return is what the cache holds, and counts of nothing.

    Raises:
        ValueError: a cache of format 1; another generator, size or type than the cache's; as `prepare`.
        FileExistsError: `out` exists.
    """
    check_writers(processes, engine)
    folder = folder.resolve()
    asked = asked or Asked()
    with ExitStack() as held:
        if out is None and is_first():
            held.enter_context(held_name(folder))
            _settle(folder)
            held.enter_context(one_writer(folder))
        # What the others read, the first has settled before it joins them
        launch = Launch(str(device) == "cpu") if is_launched() else None
        cache = WholeCache(folder)
        asked.check(cache.header, folder)
        total = _count(source)
        place = device if launch is None else str(launch.device)
        loaded = encoders_of(cache.header, asked.backbone, place, compute_dtype, encoders)
        backbone = loaded.load()
        check_generator(cache, backbone)
        settings = settings_of(cache.header, folder, on_bad, shard_bytes)
        if launch is not None and launch.index:
            return _helped(launch, backbone, settings, folder, out)
        plans: list[Counts] = []
        data = encode_by(
            settings,
            _comparisons(source, shuffle),
            backbone,
            out or _beside(folder),
            total=total,
            reading=reading,
            progress=progress,
            card=lambda header: cache_card(_described(header, source, folder)),
            writers=writers_of(launch, loaded, processes, engine),
            behind=cache,
            planned=lambda plan: plans.append(_planned(plan, cache, total)),
        )
        assert data.header is not None
        counts = plans[-1].after(cache.header, data.header)
        if out is None:
            replace_folder(_beside(folder), folder)
    unread = tuple(told for told in backbone.unread_prompts(data.prompts) if told is not None)
    return Added(replace(opened_cache(out or folder), unread_prompts=unread), counts)


def _helped(launch: Launch, backbone: Backbone, settings: EncodingSettings, folder: Path, out: Path | None) -> Added:
    """What a process does beside the first of its launch."""
    made = out or _beside(folder)
    writing = Writing(partial_folder(made), settings, encoded_buckets(backbone, settings.sizes))
    launch.other(backbone, writing, partial(is_finished, made) if out is not None else partial(_is_exchanged, folder))
    return Added(opened_cache(out or folder), Counts(*[0] * len(fields(Counts))))


def _is_exchanged(folder: Path) -> bool:
    """Whether what was added has taken the name of the cache, step after step as it is given it."""
    made = _beside(folder)
    return not partial_folder(made).exists() and not made.exists() and (folder / HEADER).is_file()


def settle(folder: Path) -> None:
    """End what an earlier run was killed in, after its last shard, so that the cache has its name; else do nothing.

    Raises ValueError (`BusyError`) where another process adds to it.
    """
    with held_name(folder.resolve()):
        _settle(folder.resolve())


def to_be_added(folder: Path, source: NamedSource, *, asked: Asked | None = None, shuffle: bool = False) -> Counts:
    """What `add_comparisons` would add and encode; nothing is loaded or written."""
    cache = WholeCache(folder)
    (asked or Asked()).check(cache.header, folder)
    total, settings = _count(source), settings_of(cache.header, folder, "skip", SHARD_BYTES)
    buckets = [Bucket(width or 0, height or 0) for width, height in cache.header.sizes]
    with closing(Plan(None, {})) as plan, ThreadPoolExecutor(settings.workers) as pool:
        plan.begin_behind(cache)
        plan_comparisons(plan, _comparisons(source, shuffle), buckets, settings, pool, lambda done: None)
        return _planned(plan, cache, total)


def encoders_of(
    header: CacheHeader,
    generator: str | None = None,
    device: str | None = "cpu",
    compute_dtype: torch.dtype | None = None,
    encoders: EncoderSettings | None = None,
) -> Encoders:
    """The encoders that a cache was made with; `generator` is another place of the same one.

    They compute in `compute_dtype`; by default as the cache's did, where it says one type.
    """
    by = header.backbone
    where = (by.pretrained, by.prompt_length, by.revision) if generator is None else (generator, by.prompt_length, None)
    dtype = compute_dtype or computed_in(header)
    return Encoders(*where, device, by.prompt_padding, dtype, encoders, by.t5_weights)


def _count(source: NamedSource) -> int:
    total = sum(1 for _ in source.comparisons())
    if total == 0:
        raise DinaError(f"{source.path}: holds no comparisons")
    return total


def _comparisons(source: NamedSource, shuffle: bool) -> Iterable[Comparison]:
    found = source.comparisons()
    return shuffle_sides(found, source.seed) if shuffle else found


def settings_of(header: CacheHeader, folder: Path | str, on_bad: OnBad, shard_bytes: int) -> EncodingSettings:
    """Those that the cache was made with."""
    if header.wanted_sizes is None:
        raise DinaError(f"{folder}: does not say which sizes its pictures have; prepare the comparisons again")
    pair_buckets = cast("PairBuckets", header.pair_buckets or "own")
    dtype = getattr(torch, header.dtype)
    batch = header.encode_batch or _BATCH
    return EncodingSettings(header.wanted_sizes, batch, dtype, shard_bytes, on_bad, pair_buckets)


def check_generator(cache: WholeCache, backbone: Backbone) -> None:
    """Raise ValueError where another generator would encode what is new, with both values."""
    header, folder = cache.header, cache.folder
    header.check_backbone(backbone.config, folder)
    header.check_scale(backbone.latent_scale, backbone.latent_shift, folder)
    assert header.wanted_sizes is not None
    own = [(bucket.width, bucket.height) for bucket in encoded_buckets(backbone, header.wanted_sizes)]
    if own != header.sizes:
        raise DinaError(f"{folder} has buckets {header.sizes}, this version makes {own}; accepted: the same")


def _planned(plan: PlanReader, cache: WholeCache, total: int) -> Counts:
    """What is planned, before anything is encoded."""
    known, (pairs, missing) = plan.known, plan.counts
    buckets = range(len(cache.header.buckets))
    pictures = sum(plan.rows_of(bucket) - cache.rows(bucket) for bucket in buckets)
    prompts = plan.rows_of(None) - cache.rows(None)
    return Counts(total, pairs, known.pairs, missing, 0, pictures, known.pictures, prompts, known.prompts)


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.added")


def _settle(folder: Path) -> None:
    """End what an earlier run was killed in, between the last shard and the name of the cache."""
    recover_folder(folder)
    added = _beside(folder)
    if not added.exists() or (added / PLAN).is_file():  # the latter is gone on with as any encoding
        return
    if not (added / HEADER).is_file() or not set(read_header(folder).shards) <= set(read_header(added).shards):
        raise FileExistsError(f"{added}: is in the way, and holds nothing that continues {folder}; move it away")
    replace_folder(added, folder)


def _described(header: CacheHeader, source: NamedSource, folder: Path) -> DataSet:
    before, added = licence_of(str(folder)), licence_beside(source.path)
    return described(
        header, f"what was encoded before, and {shown_source(source)}", added if added == before else UNKNOWN
    )
