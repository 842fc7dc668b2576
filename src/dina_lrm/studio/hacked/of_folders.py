"""Two folders of pictures of the same names: paired, judged and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dina_lrm.evaluation.generators.comparison import MeasureKind, PairedValues, Role
from dina_lrm.images import load_image
from dina_lrm.pictures.files import is_animated
from dina_lrm.pictures.folders import PictureFolder, scan_pictures
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
    def files(self) -> tuple[Path, Path]:
        """Both pictures."""
        return self.base, self.tuned

    @property
    def drawn_with(self) -> str:
        """Pairs of one caption are not independent; those that nobody said a caption of may have many."""
        return f"name {self.name}" if self.without_caption else f"caption {self.prompt}"


@dataclass(frozen=True)
class FolderPairs:
    """The pairs of two folders; `scans` say of each folder which of its pictures are compared, and what is left out."""

    pairs: tuple[FolderPair, ...]
    folders: tuple[Path, Path]
    scans: tuple[PictureFolder, PictureFolder]

    @property
    def notes(self) -> tuple[str, ...]:
        """How what is read and what is left out make up all that was found, a sentence for a folder that has both."""
        both = zip(self.folders, self.scans, strict=True)
        return tuple(_account(folder, scan) for folder, scan in both if scan.left_out)

    def without(self, unread: Mapping[int, Collection[int]]) -> FolderPairs:
        """The other pairs than those by whose number stand the sides (0, 1) of which the picture cannot be read."""

        def left(side: int) -> PictureFolder:
            files = {
                number: self.pairs[number].files[side].relative_to(self.folders[side]).as_posix() for number in unread
            }
            bad = {name for number, name in files.items() if side in unread[number]}
            return (
                self.scans[side]
                .without(bad, "that cannot be read")
                .without(set(files.values()) - bad, "whose partner cannot be read")
            )

        kept = tuple(pair for number, pair in enumerate(self.pairs) if number not in unread)
        return replace(self, pairs=kept, scans=(left(0), left(1)))


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
    pairs, other = [], []
    for name in common:
        texts = [side.captions.get(name) for side in sides]
        if None not in texts and texts[0] != texts[1]:
            other.append(name)
            continue
        text = texts[0] or texts[1]
        before, after = (side.folder / side.names[name] for side in sides)
        pairs.append(FolderPair(name, text or prompt, before, after, without_caption=not text))
    if not pairs:
        raise DinaError(f"{shown(base)} and {shown(tuned)}: every pair has two captions; accepted: the same prompts")
    beyond = [pair.name for pair in pairs[most:]]
    scans = [
        side.scan.without({side.names[name] for name in side.names.keys() - set(common)}, "without a partner")
        .without({side.names[name] for name in other}, "with two captions")
        .without({side.names[name] for name in beyond}, f"after the first {most} pairs by name")
        for side in sides
    ]
    return FolderPairs(tuple(pairs[:most]), (base, tuned), (scans[0], scans[1]))


def sides_of_folders(
    found: FolderPairs,
    rewards: Sequence[Reward],
    named: tuple[str, str] = ("base", "tuned"),
    optimised: Sequence[str] | None = None,
    progress: ReportProgress = lambda done, total: None,
) -> Sides:
    """Judge and measure every pair, two pictures in memory at a time.

    A pair of which a picture cannot be read is left out, and said: which file, and why. `optimised` names the rewards
    that the second side was tuned for, None where that is not known. Raises DinaError where no pair can be read.
    """
    parts, unread, notes = _Parts(), dict[int, Collection[int]](), list[str]()
    spectra: tuple[list[TextureSpectrum], list[TextureSpectrum]] = ([], [])
    small: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
    for number, pair in enumerate(found.pairs):
        with said() as heard:
            both, errors = _read(pair)
            if errors:
                unread[number] = errors.keys()
                notes += (f"Left out: {error}" for error in errors.values())
            else:
                parts.add([_measured(pixels, pair.prompt, rewards) for pixels in both])
                moving = filter(is_animated, pair.files)
                notes += (f"{shown(path)}: an animation, or pages; the first picture is read." for path in moving)
                for side, pixels in enumerate(both):
                    spectra[side].extend(_spectrum(pixels))
                    small[side].append(_reduced(pixels))
        notes += (f"{shown(pair.name)}: {line}" for line in heard)
        progress(number + 1, len(found.pairs))
    if not parts.rows:
        raise DinaError(f"no pair can be read, of {len(found.pairs)}: {notes[0]}")
    found = found.without(unread)
    drawn_with = [pair.drawn_with for pair in found.pairs]
    return Sides(
        base=named[0],
        tuned=named[1],
        names=tuple(pair.name for pair in found.pairs),
        prompts=tuple(pair.prompt for pair in found.pairs),
        values=(*parts.values(drawn_with, optimised), *_spread(drawn_with, small)),
        spectra=(TextureSpectrum.mean(spectra[0]), TextureSpectrum.mean(spectra[1])),
        pictures=lambda number: _both(found.pairs[number]),
        optimised=None if optimised is None else tuple(optimised),
        notes=(*found.notes, *_few(notes)),
    )


def _account(folder: Path, scan: PictureFolder) -> str:
    captions = f"{scan.beside:,} files of captions read, " if scan.beside else ""
    compared = f"{len(scan.names):,} pictures compared"
    return f"{shown(folder)}: {scan.found:,} files and folders found: {compared}, {captions}{scan.told()}."


def _read(pair: FolderPair) -> tuple[list[NDArray[np.uint8]], dict[int, Exception]]:
    """The pixels of those of the two pictures that can be read, and why not for the side of each other."""
    read, errors = list[NDArray[np.uint8]](), dict[int, Exception]()
    for side, path in enumerate(pair.files):
        try:
            read.append(np.array(load_image(path)))  # torch wants to own them
        except (ValueError, OSError) as error:
            errors[side] = error
    return read, errors


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
    scan: PictureFolder


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
    twice = {name for stem, name in zip(stems, found.names, strict=True) if counts[stem] > 1}
    found = found.without(twice, "of one name with another")
    told = {stem: captions.of[name] for stem, name in names.items() if name in captions.of}
    return _Named(folder, names, told, found)


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
    """Values of the pairs so far."""

    def __init__(self) -> None:
        self.rows: list[list[Measured]] = []

    def add(self, row: list[Measured]) -> None:
        self.rows.append(row)

    def values(self, drawn_with: Sequence[str], optimised: Sequence[str] | None) -> Iterator[PairedValues]:
        """One a judge and measure; those that nobody has a value of are left out."""
        numbers = np.unique(list(drawn_with), return_inverse=True)[1]
        for kind, name in self.rows[0][0]:
            sides = [np.array([row[side][kind, name] for row in self.rows], dtype=float) for side in (0, 1)]
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
    base, tuned = (np.asarray(load_image(path)) for path in pair.files)
    return base, tuned
