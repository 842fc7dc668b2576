"""Where the pairs of people are, and their pictures and prompts as the generator that learns from them reads them.

A cache of `prepare` is read as it is; anything else is encoded once, by the generator's own encoders, beside the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Final

from dina_lrm.alignment.pairs.judged import called_bad, is_judged, judged_comparisons
from dina_lrm.alignment.pairs.left_out import LeftOut
from dina_lrm.backbones.anatomy import anatomy_of
from dina_lrm.backbones.base import Backbone
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.data.buckets import Sizes
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.encoding.comparisons import encode_comparisons
from dina_lrm.data.encoding.plan import PLAN
from dina_lrm.data.prompt_sets import PromptSet
from dina_lrm.data.run_cache import check_unchanged, is_cache
from dina_lrm.data.sources import is_hub, read_comparisons
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.locate import BUNDLED_LORAS
from dina_lrm.runs.processes import join_processes
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.typed import DinaError

OPTION: Final = "--pairs"
STORE: Final = ".sqlite"
"""What stores of votes end with."""
LONG: Final = "with prompts that are longer than the text encoders read, or were cut"


@dataclass(frozen=True, eq=False)
class Found:
    """Encoded comparisons, and what of the source is not among them (what cannot be read is in `data.missing`)."""

    data: EncodedComparisons
    left_out: LeftOut = field(default_factory=LeftOut)


@dataclass(frozen=True)
class SourceSize:
    """Comparisons in a source, and pictures and prompts of it that are to be encoded; pictures by their paths, others
    each as one of its own.
    """

    comparisons: int
    pictures: int
    prompts: int

    def __str__(self) -> str:
        told = f"{self.comparisons} comparisons"
        if not self.pictures:
            return f"{told}, encoded already"
        return f"{told}: {self.pictures} pictures and {self.prompts} prompts are encoded before the first update"


@dataclass(frozen=True)
class PairSource:
    """Pairs by name: a table in any layout, a folder or "hub:OWNER/NAME", a store of votes, a cache or its address; or
    a table of pictures judged alone.

    `columns` says where our columns stand in a table with others; ratings of at least `liked_from` are liked. Where
    pictures are learned from `alone`, as by kto, those of votes that called both bad are among them, and not liked.
    """

    name: str
    columns: Mapping[str, str] | None = None
    liked_from: float | None = None
    alone: bool = False

    def __post_init__(self) -> None:
        if not (is_cache(self.name) or is_hub(self.name) or Path(self.name).exists()):
            raise FileNotFoundError(
                f"{OPTION} {self.name}: no such file; accepted: comparisons, a store of votes, a cache of prepare or "
                "its address, hub:OWNER/NAME"
            )

    @property
    def is_cache(self) -> bool:
        """Whether it is encoded already."""
        return is_cache(self.name)

    def prompts(self) -> PromptSet:
        """Its prompts, each once, in order."""
        if self.is_cache:
            return PromptSet(self.name, EncodedComparisons.load(self.name).prompts)
        found = dict.fromkeys(comparison.prompt for comparison in self._comparisons())
        if not found:
            raise DinaError(f"{OPTION} {self.name}: holds no comparisons; accepted: at least one")
        return PromptSet(self.name, tuple(found))

    def encoded(
        self,
        generator: Generator,
        settings: GeneratorSettings,
        readable: Callable[[str], bool],
        cache: Path | None,
        progress: ReportProgress | None = None,
        most: int | None = None,
    ) -> Found:
        """Its comparisons as `generator`, which `settings` name, reads them; those whose prompts are not `readable` are
        left out.

        What is no cache yet is encoded into the folder `cache`, where that was not done before, or in memory, and then
        only the first `most`. Raises ValueError for a cache of another generator or size.
        """
        wanted = backbone_config(settings)
        if self.is_cache:
            found = EncodedComparisons.load(self.name, wanted)
            _check_fits(self.name, found, generator)
            return Found(found)
        with join_processes().main_process_first():
            if cache is not None:
                told = {} if self.liked_from is None else {"liked from": self.liked_from}
                told |= {"alone": True} if self.alone and Path(self.name).suffix.lower() == STORE else {}
                check_unchanged(self.name, cache, self.columns, OPTION, told)
            return self._encoded(wanted, generator, readable, cache, progress, most)

    def _encoded(
        self,
        wanted: BackboneConfig,
        generator: Generator,
        readable: Callable[[str], bool],
        cache: Path | None,
        progress: ReportProgress | None,
        most: int | None,
    ) -> Found:
        left_out = LeftOut()
        # With its plan it is one whose making was killed at its end, which making it again ends
        if cache is not None and cache.is_dir() and not (cache / PLAN).exists():
            for comparison in self._comparisons():
                left_out.add(LONG, not readable(comparison.prompt))
            return Found(EncodedComparisons.load(cache, wanted), left_out)

        def some() -> Iterator[Comparison]:
            taken = 0
            for comparison in self._comparisons():
                if not readable(comparison.prompt):
                    left_out.add(LONG)
                elif most is None or taken < most:
                    taken += 1
                    yield comparison

        data = encode_comparisons(
            some(),
            as_encoder(generator, wanted),
            cache,
            resolution=Sizes.of(generator.resolution),
            pair_buckets="common",
            progress=progress,
        )
        return Found(data, left_out)

    def size(self) -> SourceSize:
        """How much it holds, and what of that is still to be encoded; nothing is read of the pictures."""
        if self.is_cache:
            held = EncodedComparisons.load(self.name)
            return SourceSize(len(held) + len(held.missing), 0, 0)
        pictures, prompts, number, others = set[str](), set[str](), 0, 0
        for comparison in self._comparisons():
            number += 1
            prompts.add(comparison.prompt)
            for image in (comparison.image_a, comparison.image_b):
                if isinstance(image, str | Path):
                    pictures.add(str(image))
                else:
                    others += 1
        return SourceSize(number, len(pictures) + others, len(prompts))

    def _comparisons(self) -> Iterator[Comparison]:
        path = Path(self.name)
        if not is_hub(self.name) and is_judged(path, self.columns):
            return judged_comparisons(path, self.liked_from, self.columns)
        found = read_comparisons(self.name if is_hub(self.name) else path, columns=self.columns)
        return chain(found, called_bad(path)) if self.alone and path.suffix.lower() == STORE else found


def backbone_config(settings: GeneratorSettings) -> BackboneConfig:
    """The generator as caches know it; a LoRA changes neither latents nor prompts."""
    pretrained = BUNDLED_LORAS[settings.pretrained][0] if settings.pretrained in BUNDLED_LORAS else settings.pretrained
    family = anatomy_of(pretrained).family
    return BackboneConfig(family, pretrained, 1, (1,), prompt_length=settings.prompt_length)


def as_encoder(generator: Generator, wanted: BackboneConfig) -> Backbone:
    """The generator's own encoders, under the name that a cache remembers them by."""
    backbone = generator.backbone
    backbone.config = replace(backbone.config, pretrained=wanted.pretrained)
    return backbone


def _check_fits(name: str, found: EncodedComparisons, generator: Generator) -> None:
    """ValueError for a cache of another VAE or another size than the generator's."""
    header = found.header
    assert header is not None, "a cache has a header"
    header.check_scale(generator.backbone.latent_scale, generator.backbone.latent_shift, name)
    sizes, own = header.wanted_sizes, Sizes.of(generator.resolution)
    if sizes is not None and not sizes.same_as(own):
        raise DinaError(
            f"{OPTION} {name}: holds pictures of {sizes}, and the generator is aligned at {own}; accepted: "
            f"--generator.resolution as theirs, or a cache of prepare --resolution {generator.resolution}"
        )
