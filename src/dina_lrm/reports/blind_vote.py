"""A page on which people choose between two generators without knowing which is which: one file, and no server.

It is the page of `dina-lrm annotate` with its pairs in it. Pictures stand inline, sides and order are drawn by a seeded
coin, votes stay in the reader's browser and are saved as a file, which `dina-lrm annotate import VOTES page FILE`
reads.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.votes.records import OVERALL
from dina_lrm.images import load_image
from dina_lrm.reports.pages import data_uri, write_page
from dina_lrm.reports.voting.alone import page_alone
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
    """A pair as the page holds it: `side` says which picture stands on the left, `left` and `right` are their keys."""

    id: str
    prompt: str
    image_a: str
    image_b: str
    left: str
    right: str
    side: str


def write_blind_vote(
    path: Path | str,
    pairs: Sequence[VotePair],
    names: tuple[str, str] | None = ("A", "B"),
    title: str = OVERALL.text,
    seed: int = 0,
) -> Path:
    """Write the page to `path` and return the path; `title` is what is asked.

    `names` of A and B, where they have any, are shown with their counts when all pairs are judged.

    Saved votes name the image files relative to the page's folder: put `votes-....jsonl` beside the page. Raises
    ValueError without pairs, for an unreadable image, and for a prompt that no vote could be read back with, such as
    an empty one; FileNotFoundError for an image that is not there.
    """
    path = Path(path)
    if not pairs:
        raise DinaError("write_blind_vote: no pairs; accepted: one or more")
    for number, pair in enumerate(pairs):
        _expect_readable(number, pair)
    pictures: dict[str, tuple[str, str]] = {}
    shown = _shuffled(pairs, path.parent, seed, pictures)
    data = {
        "id": _identity(shown, title, seed),
        "title": f"{len(shown)} pairs",
        "names": names,
        "question": {"name": OVERALL.id, "text": title},
        "pairs": [vars(pair) for pair in shown],
        "pictures": pictures,
    }
    write_page(path, page_alone(data))
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


def _shuffled(pairs: Sequence[VotePair], folder: Path, seed: int, pictures: dict[str, tuple[str, str]]) -> list[_Shown]:
    """The pairs as they are shown; each picture is put into `pictures` once."""
    coin = random.Random(seed)
    order = coin.sample(range(len(pairs)), len(pairs))
    keys = {image: _inline(image, pictures) for pair in pairs for image in (pair.image_a, pair.image_b)}
    return [_shown(number, pairs[number], folder, coin.random() < 0.5, keys) for number in order]


def _shown(number: int, pair: VotePair, folder: Path, swapped: bool, keys: Mapping[Path, str]) -> _Shown:
    name_a, name_b = (_from(folder, image) for image in (pair.image_a, pair.image_b))
    left, right = (keys[image] for image in (pair.image_a, pair.image_b)[:: -1 if swapped else 1])
    return _Shown(str(number), pair.prompt, name_a, name_b, left, right, "b" if swapped else "a")


def _from(folder: Path, image: Path) -> str:
    """The image's name as it is read from beside the page."""
    return Path(os.path.relpath(image.resolve(), folder.resolve())).as_posix()


def _inline(path: Path, pictures: dict[str, tuple[str, str]]) -> str:
    """Put the image into `pictures`, its type and its bytes as Base64, and return its key.

    It is written anew: the formats of the files could tell the generators apart.
    """
    kind, _, data = data_uri(load_image(path), _LARGEST, quality=92).removeprefix("data:").partition(";base64,")
    key = hashlib.sha256(data.encode()).hexdigest()[:32]
    pictures[key] = (kind, data)
    return key


def _identity(shown: Sequence[_Shown], title: str, seed: int) -> str:
    """What the votes of this very page are kept under."""
    digest = hashlib.sha256(f"{title}\n{seed}".encode())
    for pair in shown:
        digest.update(repr(pair).encode())
    return digest.hexdigest()[:12]
