"""Two folders of pictures of the same names: paired, judged and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dina_lrm.evaluation.generators.comparison import MeasureKind, PairedValues, Role
from dina_lrm.images import load_image
from dina_lrm.pictures.folders import scan_pictures
from dina_lrm.pictures.measures import MEASURES, diversity
from dina_lrm.pictures.names import shown
from dina_lrm.pictures.spectrum import TextureSpectrum, texture_spectrum
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.judged import judged
from dina_lrm.rewards.scoring.captions import read_captions
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.studio.hacked.sides import Sides
from dina_lrm.studio.why.given import said
from dina_lrm.synthetic.captions import true_values
from dina_lrm.typed import DinaError

MOST_PAIRS: Final = 512
"""Pairs of a comparison, the first by name."""
_MOST_NOTES: Final = 20
_LEAST: Final = 16
"""Pixels of a picture's shorter side that measures need."""
_SMALL: Final = 64
"""Pixels of a side of the pictures that diversity is measured on: it is that of coarse shapes alone."""


@dataclass(frozen=True)
class FolderPair:
    """Two pictures of one name and one prompt; a pair `without_caption` is drawn by itself in intervals."""

    name: str
    prompt: str
    base: Path
    tuned: Path
    without_caption: bool = False

    @property
    def drawn_with(self) -> str:
        """Pairs of one caption are not independent; those that nobody said a caption of may have many."""
        return f"name {self.name}" if self.without_caption else f"caption {self.prompt}"


@dataclass(frozen=True)
class FolderPairs:
    """The pairs of two folders, and what has no partner, in sentences."""

    pairs: tuple[FolderPair, ...]
    notes: tuple[str, ...]


def folder_pairs(base: Path, tuned: Path, prompt: str = "a picture", most: int = MOST_PAIRS) -> FolderPairs:
    """Pair the pictures of two folders by their names without the suffix; captions beside them are their prompts.

    `prompt` stands for pictures without a caption. Raises DinaError for folders without a common name, or where one is
    no folder.
    """
    sides = [_named(folder) for folder in (base, tuned)]
    common = sorted(sides[0].names.keys() & sides[1].names.keys())
    if not common:
        raise DinaError(
            f"{shown(base)} and {shown(tuned)}: no two pictures have one name; accepted: folders of pictures of the "
            "same names, such as those of the same prompts and seeds"
        )
    pairs, notes = [], [note for side in sides for note in side.notes]
    for folder, side in zip((base, tuned), sides, strict=True):
        alone = len(side.names) - len(common)
        if alone:
            notes.append(f"{alone} pictures of {shown(folder)} have no partner of the same name.")
    other = 0
    for name in common:
        texts = [side.captions.get(name) for side in sides]
        if None not in texts and texts[0] != texts[1]:
            other += 1
            continue
        text = texts[0] or texts[1]
        before, after = (side.folder / side.names[name] for side in sides)
        pairs.append(FolderPair(name, text or prompt, before, after, without_caption=not text))
    if other:
        notes.append(f"{other} pairs have two different captions, and are left out.")
    if not pairs:
        raise DinaError(f"{shown(base)} and {shown(tuned)}: every pair has two captions; accepted: the same prompts")
    if len(pairs) > most:
        notes.append(f"The first {most} of {len(pairs)} pairs by name are compared.")
    return FolderPairs(tuple(pairs[:most]), tuple(notes))


def sides_of_folders(
    found: FolderPairs,
    rewards: Sequence[Reward],
    named: tuple[str, str] = ("base", "tuned"),
    optimised: Sequence[str] | None = None,
    progress: ReportProgress = lambda done, total: None,
) -> Sides:
    """Judge and measure every pair, two pictures in memory at a time.

    A pair of which a picture cannot be read is counted as missing by everything, and said. `optimised` names the
    rewards that the second side was tuned for, None where that is not known.
    """
    parts, notes = _Parts(), list(found.notes)
    spectra: tuple[list[TextureSpectrum], list[TextureSpectrum]] = ([], [])
    small: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
    for number, pair in enumerate(found.pairs):
        with said() as heard:
            try:
                both = [np.array(load_image(path)) for path in (pair.base, pair.tuned)]  # torch wants to own them
            except (ValueError, OSError) as error:
                notes.append(f"Left out: {error}")
                both = []
            parts.add([_measured(pixels, pair.prompt, rewards) for pixels in both])
        notes += (f"{pair.name}: {line}" for line in heard)
        for side, pixels in enumerate(both):
            spectra[side].extend(_spectrum(pixels))
            small[side].append(_reduced(pixels))
        progress(number + 1, len(found.pairs))
    if not small[0]:
        raise DinaError(f"no pair can be read: {notes[-1]}")
    readable = [pair.drawn_with for pair, row in zip(found.pairs, parts.rows, strict=True) if row]
    values = parts.values([pair.drawn_with for pair in found.pairs], optimised)
    spread = _spread(readable, small)
    return Sides(
        base=named[0],
        tuned=named[1],
        names=tuple(pair.name for pair in found.pairs),
        prompts=tuple(pair.prompt for pair in found.pairs),
        values=(*values, *spread),
        spectra=(TextureSpectrum.mean(spectra[0]), TextureSpectrum.mean(spectra[1])),
        pictures=lambda number: _both(found.pairs[number]),
        optimised=None if optimised is None else tuple(optimised),
        notes=tuple(_few(notes)),
    )


def _few(notes: Sequence[str]) -> Iterator[str]:
    """The first notes, and how many there are beside them."""
    yield from notes[:_MOST_NOTES]
    if len(notes) > _MOST_NOTES:
        yield f"... and {len(notes) - _MOST_NOTES} more of the like."


@dataclass(frozen=True)
class _Named:
    folder: Path
    names: dict[str, str]
    captions: dict[str, str]
    notes: tuple[str, ...]


def _named(folder: Path) -> _Named:
    """Pictures of a folder by their names without suffix; a name that stands twice is left out and said."""
    if not folder.is_dir():
        raise DinaError(f"{shown(folder)}: no such folder; accepted: a folder of pictures")
    found = scan_pictures(folder)
    stems = [str(PurePosixPath(name).with_suffix("")) for name in found.names]
    counts = Counter(stems)
    names = {stem: name for stem, name in zip(stems, found.names, strict=True) if counts[stem] == 1}
    captions = read_captions(folder, found.names)
    for file in captions.files:
        found.read_beside(file)
    twice = sum(count for count in counts.values() if count > 1)
    notes = [f"{shown(folder)}: {twice} pictures share a name with another and are left out."] if twice else []
    if found.left_out:
        notes.append(f"{shown(folder)}: {found.told()}.")
    told = {stem: captions.of[name] for stem, name in names.items() if name in captions.of}
    return _Named(folder, names, told, tuple(notes))


Measured = dict[tuple[MeasureKind, str], float]


def _measured(pixels: NDArray[np.uint8], prompt: str, rewards: Sequence[Reward]) -> Measured:
    """Every value of one picture; NaN where a judge has no score or the picture is too small."""
    images = pixels[None]
    found: Measured = {("reward", reward.name): float(judged(reward, images, [prompt], 1)[0]) for reward in rewards}
    found |= {("truth", f"true {name}"): float(value[0]) for name, value in true_values(images, [prompt]).items()}
    large = min(pixels.shape[:2]) >= _LEAST
    return found | {
        ("measure", name): float(measure(images)[0]) if large else np.nan for name, measure in MEASURES.items()
    }


class _Parts:
    """Values of the pairs so far; an empty row is a pair that could not be read."""

    def __init__(self) -> None:
        self.rows: list[list[Measured]] = []

    def add(self, row: list[Measured]) -> None:
        self.rows.append(row)

    def values(self, drawn_with: Sequence[str], optimised: Sequence[str] | None) -> Iterator[PairedValues]:
        """One a judge and measure; those that nobody has a value of are left out."""
        numbers = np.unique(list(drawn_with), return_inverse=True)[1]
        keys = next((row[0].keys() for row in self.rows if row), ())
        for kind, name in keys:
            sides = [
                np.array([row[side][kind, name] if row else np.nan for row in self.rows], dtype=float)
                for side in (0, 1)
            ]
            if kind == "reward" or any(np.isfinite(side).any() for side in sides):
                role = _role(name, optimised) if kind == "reward" else ""
                yield PairedValues(name, kind, sides[0], sides[1], numbers, role)


def _role(name: str, optimised: Sequence[str] | None) -> Role:
    if optimised is None:
        return "unknown"
    return "optimised" if name in optimised else "held out"


def _spread(
    prompts: Sequence[str], small: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]
) -> list[PairedValues]:
    """Diversity of each prompt with two pictures or more."""
    found = [diversity(np.stack(side), prompts) for side in small]
    if not found[0]:
        return []
    base, tuned = (np.array([side[prompt] for prompt in found[0]]) for side in found)
    return [PairedValues("diversity", "measure", base, tuned, np.arange(len(base)))]


def _spectrum(pixels: NDArray[np.uint8]) -> list[TextureSpectrum]:
    return [texture_spectrum(pixels[None])] if min(pixels.shape[:2]) >= _LEAST else []


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize((_SMALL, _SMALL), Image.Resampling.BOX))


def _both(pair: FolderPair) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    base, tuned = (np.asarray(load_image(path)) for path in (pair.base, pair.tuned))
    return base, tuned
