"""The comparison sets that a command line names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dina_lrm.cli.common import UserError

if TYPE_CHECKING:
    import numpy as np

    from dina_lrm.backbones.base import Backbone
    from dina_lrm.evaluation.sets import EvaluationSet
    from dina_lrm.reports.evaluation import PairImages
    from dina_lrm.reward_model.model import LatentRewardModel

SYNTHETIC: Final = "synthetic"
_ACCEPTED: Final = '"synthetic", a comparison file, a cache folder, or a data set with --data'


@dataclass(frozen=True)
class SyntheticSize:
    """Pairs of each synthetic set, and their seed."""

    pairs: int
    seed: int


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

    @property
    def is_synthetic(self) -> bool:
        """Whether the renderer makes it."""
        return self.path is None


def named_sets(on: str, data: Path | None, source: str, option: str = "--on") -> list[NamedSet]:
    """What `option` names, one by one: each set once. Raises UserError where there is nothing of that name.

    A data set is SOURCE, SOURCE:SPLIT, or SOURCE=PATH; without a path it lies in the folder of its name under `data`.
    """
    words = [word.strip() for word in on.split(",") if word.strip()]
    if not words:
        raise UserError(f"{option} names no set; accepted: {_ACCEPTED}")
    found = [named for word in words for named in _named(word, data, source, option)]
    names = [named.name for named in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{option} {on}: two sets are called {twice[0]!r}")
    return found


def _named(word: str, data: Path | None, source: str, option: str) -> list[NamedSet]:
    from dina_lrm.data.sources import SOURCES, chosen_split

    if word == SYNTHETIC:
        from dina_lrm.synthetic.sets import TEST_SETS

        return [NamedSet(f"{SYNTHETIC}:{name}", name) for name in TEST_SETS]
    if word.startswith(f"{SYNTHETIC}:"):
        return [NamedSet(word, word.split(":", 1)[1])]
    head, _, path = word.partition("=")
    known, _, split = head.partition(":")
    if known in SOURCES and known != "ours":
        place = Path(path) if path else None if data is None else data / known
        if place is None:
            raise UserError(
                f"{option} {word}: where is it? Give {known}=PATH, or --data, the folder that holds {known}/"
            )
        if not place.exists():
            raise UserError(f"{option} {word}: there is no {place}")
        return [
            NamedSet(word, f"{known}-{split}" if split else known, known, place, chosen_split(known, split or None))
        ]
    file = Path(word)
    if not file.exists():
        raise UserError(
            f"{option} {word}: no such file or folder; accepted: {_ACCEPTED}; data sets: {', '.join(SOURCES)}"
        )
    if file.is_dir() and source == "ours" and (file / "cache.json").is_file():
        return [NamedSet(word, file.name, None, file)]
    return [NamedSet(word, file.name if file.is_dir() else file.stem, source, file)]


def made_set(
    named: NamedSet,
    size: SyntheticSize,
    backbone: Callable[[], Backbone],
) -> EvaluationSet:
    """The set: a synthetic one or a cache for the generator of `backbone`, comparisons as they are read.

    A synthetic set is rendered here, and encoded when a latent reward model judges it.
    """
    from dina_lrm.data.cache import EncodedComparisons
    from dina_lrm.data.plain import PlainComparisons
    from dina_lrm.data.sources import read_comparisons
    from dina_lrm.evaluation.sets import EvaluationSet

    if named.is_synthetic:
        from dina_lrm.evaluation.synthetic import rendered_set
        from dina_lrm.synthetic.sets import synthetic_comparisons

        return rendered_set(synthetic_comparisons(named.name, size.pairs, size.seed), backbone)
    assert named.path is not None
    if named.source is None:
        return EvaluationSet(named.name, EncodedComparisons.load(named.path, backbone()))
    data = PlainComparisons(read_comparisons(named.path, named.source, split=named.split, seed=size.seed))
    if len(data) == 0:
        raise UserError(f"{named.path}: holds no comparisons; accepted: a table with one row at least")
    notes = () if named.split is None else (f"source {named.source}, split {named.split}",)

    def pictures(pair: int) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np
        from PIL import Image

        from dina_lrm.data.loading import load_or_fault

        comparison = data.comparisons[pair]
        loaded = [load_or_fault(image) for image in (comparison.image_a, comparison.image_b)]
        first, second = (Image.new("RGB", (32, 32), "grey") if isinstance(found, str) else found for found in loaded)
        return np.asarray(first), np.asarray(second)

    return EvaluationSet(named.name, data, notes=notes, pictures=pictures)


def pictures_of(model: LatentRewardModel | None, sets: dict[str, EvaluationSet]) -> PairImages:
    """Both images of a pair: the originals where the set has them, else what the decoder makes of the latents."""
    from dina_lrm.evaluation.pictures import decoded_pair

    def pictures(name: str, pair: int) -> tuple[np.ndarray, np.ndarray]:
        own = sets[name].pictures
        if own is not None:
            return own(pair)
        assert model is not None  # a judge of pictures cannot have judged a set without them
        return decoded_pair(model, sets[name].encoded, pair)

    return pictures
