"""Comparison sets by name: those of the synthetic world, files, caches, and published data sets.

sets = named_sets("synthetic:in_domain,pairs.jsonl")
item = made_set(sets[0], lambda: model.backbone, pairs=500)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.remote.addresses import is_address, shown_address
from dina_lrm.data.encoding.loading import load_or_fault
from dina_lrm.data.plain import PlainComparisons
from dina_lrm.data.sources import SOURCES, chosen_split, is_hub, read_comparisons, takes_columns
from dina_lrm.data.sources.hub import hub_dataset
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.evaluation.synthetic import rendered_set
from dina_lrm.synthetic.sets import TEST_SETS, synthetic_comparisons
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

SYNTHETIC: Final = "synthetic"
_ACCEPTED: Final = '"synthetic", a comparison file, a cache folder or its address, or a data set with --data'


@dataclass(frozen=True)
class NamedSet:
    """A set that was asked for: `word` as it was given, `name` in results.

    `source`, `path` and `split` say where comparisons are read; a synthetic set has none of them, a cache folder no
    source.
    """

    word: str
    name: str
    source: str | None = None
    path: Path | None = None
    split: str | None = None
    columns: Mapping[str, str] | None = None
    address: str | None = field(default=None, repr=False)
    """Where a cache lies that is on no disk of this machine; a password may stand in it."""

    @property
    def is_plain(self) -> bool:
        """Whether it is comparisons as they are read, which are the same for every generator."""
        return self.source is not None


def named_sets(
    on: str,
    data: Path | None = None,
    source: str = "ours",
    option: str = "sets",
    columns: Mapping[str, str] | None = None,
) -> tuple[NamedSet, ...]:
    """What `on` names, one by one: each set once, with commas between them.

    A name is "synthetic" (all test sets of the world), "synthetic:SET", a table or folder of comparisons read as
    `source`, the folder of a cache or its address, "hub:OWNER/NAME", or a data set as SOURCE, SOURCE:SPLIT or
    SOURCE=PATH; without a path it lies in the folder of its name under `data`. `columns` says where values stand in
    tables with other names.
    Raises ValueError, which names `option`, where there is nothing of that name, or two sets would be called alike.
    """
    words = [word.strip() for word in on.split(",") if word.strip()]
    if not words:
        raise DinaError(f"{option} names no set; accepted: {_ACCEPTED}")
    found = [named for word in words for named in _named(word, data, source, option)]
    found = [replace(named, columns=columns) if takes_columns(named.source or "") else named for named in found]
    names = [named.name for named in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DinaError(f"{option} {shown_address(on)}: two sets are called {twice[0]!r}")
    return tuple(found)


def _named(word: str, data: Path | None, source: str, option: str) -> list[NamedSet]:
    if word == SYNTHETIC:
        return [NamedSet(f"{SYNTHETIC}:{name}", name) for name in TEST_SETS]
    if word.startswith(f"{SYNTHETIC}:"):
        return [NamedSet(word, word.split(":", 1)[1])]
    if is_address(word):
        return [NamedSet(shown_address(word), Path(word.rstrip("/")).name, address=word)]
    if is_hub(word):
        dataset = hub_dataset(word)
        name = "-".join(filter(None, (Path(dataset.repo).name, dataset.config, dataset.split)))
        return [NamedSet(word, name, source, Path(word), dataset.split)]
    head, _, path = word.partition("=")
    known, _, split = head.partition(":")
    if known in SOURCES and not takes_columns(known):
        place = Path(path) if path else None if data is None else data / known
        if place is None:
            raise DinaError(
                f"{option} {word}: where is it? Give {known}=PATH, or --data, the folder that holds {known}/"
            )
        if not place.exists():
            raise DinaError(f"{option} {word}: there is no {place}")
        return [
            NamedSet(word, f"{known}-{split}" if split else known, known, place, chosen_split(known, split or None))
        ]
    file = Path(word)
    if not file.exists():
        raise DinaError(
            f"{option} {word}: no such file or folder; accepted: {_ACCEPTED}; data sets: {', '.join(SOURCES)}"
        )
    if file.is_dir() and source == "ours" and (file / "cache.json").is_file():
        return [NamedSet(word, file.name, None, file)]
    return [NamedSet(word, file.name if file.is_dir() else file.stem, source, file)]


def made_set(named: NamedSet, backbone: Callable[[], Backbone], pairs: int = 2_000, seed: int = 0) -> EvaluationSet:
    """The set: a synthetic one or a cache for the generator of `backbone`, comparisons as they are read.

    A synthetic set has `pairs` pairs; it is rendered here, and encoded when a latent reward model judges it. `seed` is
    that of the synthetic pairs, and of the sides of published ones. Raises ValueError for a table without a row.
    """
    if named.address is not None:
        return EvaluationSet(named.name, EncodedComparisons.load(named.address, backbone()))
    if named.path is None:
        return rendered_set(synthetic_comparisons(named.name, pairs, seed), backbone)
    if named.source is None:
        return EvaluationSet(named.name, EncodedComparisons.load(named.path, backbone()))
    data = PlainComparisons(
        read_comparisons(named.path, named.source, split=named.split, seed=seed, columns=named.columns)
    )
    if len(data) == 0:
        raise DinaError(f"{named.path}: holds no comparisons; accepted: a table with one row at least")
    notes = () if named.split is None else (f"source {named.source}, split {named.split}",)
    return EvaluationSet(named.name, data, notes=notes, pictures=lambda pair: pair_pictures(data, pair))


def pair_pictures(data: PlainComparisons, pair: int) -> tuple[np.ndarray, np.ndarray]:
    """Both images of a pair, grey where one cannot be read."""
    comparison = data.comparisons[pair]
    loaded = [load_or_fault(image) for image in (comparison.image_a, comparison.image_b)]
    first, second = (Image.new("RGB", (32, 32), "grey") if isinstance(found, str) else found for found in loaded)
    return np.asarray(first), np.asarray(second)
