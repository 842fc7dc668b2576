"""A page on which people choose between two generators without knowing which is which.

Pictures stand inline, sides and order are drawn by a seeded coin, votes stay in the reader's browser and are saved as
comparisons in our own format, sides put right again: what is saved can be read, trained on and evaluated at once.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dina_lrm import __version__
from dina_lrm.data.comparison import Comparison
from dina_lrm.images import load_image
from dina_lrm.reports.pages import data_uri, template_environment, write_page
from dina_lrm.reports.theme import DARK, LIGHT, css_variables
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.typed import DinaError

_LARGEST: Final = 1024
"""Pixels of a picture's longer side in the page; larger ones are reduced."""


@dataclass(frozen=True)
class VotePair:
    """Two image files for one prompt; A and B mean the same generators in every pair."""

    prompt: str
    image_a: Path
    image_b: Path


@dataclass(frozen=True)
class _Shown:
    """A pair as the page holds it; `swapped` where B stands on the left."""

    number: int
    prompt: str
    image_a: str
    image_b: str
    left: str
    right: str
    swapped: bool


def write_blind_vote(
    path: Path | str,
    pairs: Sequence[VotePair],
    names: tuple[str, str] = ("A", "B"),
    title: str = "Which picture is better?",
    seed: int = 0,
) -> Path:
    """Write the page to `path` and return the path; `names` of A and B are shown when all pairs are judged.

    Saved votes name the image files relative to the page's folder: put `votes-....jsonl` beside the page. Raises
    ValueError without pairs, for an unreadable image, and for a prompt that no vote could be read back with, such as
    an empty one; FileNotFoundError for an image that is not there.
    """
    path = Path(path)
    if not pairs:
        raise DinaError("write_blind_vote: no pairs; accepted: one or more")
    for number, pair in enumerate(pairs):
        _expect_readable(number, pair)
    environment = template_environment()
    shown = _shuffled(pairs, path.parent, seed)
    page = environment.get_template("blind_vote.html.jinja").render(
        title=title,
        data={"id": _identity(shown, title, seed), "names": names, "pairs": [vars(pair) for pair in shown]},
        version=__version__,
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
    )
    write_page(path, page)
    return path


def save_vote_pairs(
    folder: Path, prompts: Sequence[str], images_a: NDArray[np.uint8], images_b: NDArray[np.uint8]
) -> list[VotePair]:
    """Write pictures, uint8 (n, height, width, 3) of both generators, as PNG files under the folder.

    Raises ValueError where prompts and pictures differ in number.
    """
    if not len(prompts) == len(images_a) == len(images_b):
        counts = f"{len(prompts)} prompts, {len(images_a)} and {len(images_b)} images"
        raise DinaError(f"save_vote_pairs: {counts}; accepted: one of each a pair")
    folder.mkdir(parents=True, exist_ok=True)
    pairs = []
    for number, prompt in enumerate(prompts):
        files = [folder / f"{number:04d}-{side}.png" for side in ("a", "b")]
        for file, image in zip(files, (images_a[number], images_b[number]), strict=True):
            with replaced_when_complete(file) as temporary:
                Image.fromarray(image).save(temporary)
        pairs.append(VotePair(prompt, *files))
    return pairs


def _expect_readable(number: int, pair: VotePair) -> None:
    """ValueError unless a vote on the pair is a comparison, which is what the page saves."""
    try:
        Comparison(pair.prompt, pair.image_a, pair.image_b, preference=0.5)
    except ValueError as error:
        raise DinaError(f"write_blind_vote: pair {number}: {error}") from error


def _shuffled(pairs: Sequence[VotePair], folder: Path, seed: int) -> list[_Shown]:
    coin = random.Random(seed)
    order = coin.sample(range(len(pairs)), len(pairs))
    return [_shown(number, pairs[number], folder, coin.random() < 0.5) for number in order]


def _shown(number: int, pair: VotePair, folder: Path, swapped: bool) -> _Shown:
    name_a, name_b = (_from(folder, image) for image in (pair.image_a, pair.image_b))
    left, right = (_inline(image) for image in (pair.image_a, pair.image_b))
    if swapped:
        left, right = right, left
    return _Shown(number, pair.prompt, name_a, name_b, left, right, swapped)


def _from(folder: Path, image: Path) -> str:
    """The image's name as it is read from beside the page."""
    return Path(os.path.relpath(image.resolve(), folder.resolve())).as_posix()


def _inline(path: Path) -> str:
    """The image as a data URI, written anew: the formats of the files could tell the generators apart."""
    return data_uri(load_image(path), _LARGEST, quality=92)


def _identity(shown: Sequence[_Shown], title: str, seed: int) -> str:
    """What the votes of this very page are kept under."""
    digest = hashlib.sha256(f"{title}\n{seed}".encode())
    for pair in shown:
        digest.update(repr(pair).encode())
    return digest.hexdigest()[:12]
