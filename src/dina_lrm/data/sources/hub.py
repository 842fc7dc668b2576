"""Rows streamed from the Hugging Face Hub through the datasets library, images left as the bytes they are.

A place on the hub is written `hub:OWNER/NAME`, `hub:OWNER/NAME:SPLIT` or `hub:OWNER/NAME/CONFIG:SPLIT`; `hub:FOLDER`
reads a local folder as the library would read it on the hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dina_lrm.data.sources.rows import Row
from dina_lrm.data.sources.webdataset import KEY, sample_values
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

REACH_SECONDS = 10.0
HUB: Final = "hub:"
"""What a place on the hub begins with."""


@dataclass(frozen=True)
class HubDataset:
    """A data set on the hub (or a local folder in its layout): its id, its configuration, the split that is meant.

    `own` says that a user named it (`hub:OWNER/NAME`).
    """

    repo: str
    config: str | None = None
    split: str | None = None
    own: bool = False


def is_hub(place: object) -> bool:
    """Whether a path or word stands for a data set on the hub."""
    return str(place).startswith(HUB)


def hub_dataset(place: object) -> HubDataset:
    """The data set that `hub:OWNER/NAME[/CONFIG][:SPLIT]` or `hub:FOLDER[:SPLIT]` names; ValueError for other words."""
    word = str(place).removeprefix(HUB)
    if word and Path(word).is_dir():
        return HubDataset(word, own=True)
    head, colon, split = word.rpartition(":")
    name, split = (head, split) if colon and "/" not in split else (word, "")
    if name and Path(name).is_dir():
        return HubDataset(name, split=split or None, own=True)
    parts = name.split("/")
    if not 1 <= len(parts) <= 3 or not all(parts) or name.startswith((".", "~")):
        raise DinaError(f"{place}: no data set; accepted: hub:OWNER/NAME, hub:OWNER/NAME/CONFIG:SPLIT, or hub:FOLDER")
    return HubDataset("/".join(parts[:2]), parts[2] if len(parts) == 3 else None, split or None, own=True)


def hub_rows(dataset: HubDataset, split: str | None = None) -> Iterator[Row]:
    """Every row of a split, streamed: nothing is stored, and memory does not grow.

    Without a `split` that of the data set is read, or the only one that it has. Where the hub is declared offline
    (`HF_HUB_OFFLINE=1`), what the library's own cache holds is read.

    Raises:
        ValueError: the data set cannot be reached or opened, has several splits and none is named, or the stream
            breaks; the message holds the reason and what to do.
    """
    split = split or dataset.split
    where = dataset.repo if split is None else f"{dataset.repo}, split {split!r}"
    rows, split = _opened(dataset, split, where)
    number = 0
    stream = enumerate(rows, start=1)
    while True:
        try:
            number, values = next(stream)
        except StopIteration:
            return
        except Exception as error:  # the library raises its own, the hub's and the network's errors
            raise DinaError(f"{where}: broke off after row {number} ({error}); {_instead(dataset)}") from error
        yield _row(Path(dataset.repo) / split, f"row {number}", dict(values))


def _row(path: Path, place: str, values: Mapping[str, Any]) -> Row:
    if KEY not in values:
        return Row(path, place, dict(values))
    try:
        return Row(path, place, sample_values({name: one for name, one in values.items() if not name.startswith("__")}))
    except ValueError as error:
        return Row(path, place, {}, str(error))


def _opened(dataset: HubDataset, split: str | None, where: str) -> tuple[Dataset | IterableDataset, str]:
    """The rows of a split, streamed or from the library's cache, and the split's name."""
    from datasets import Image, List, load_dataset

    cached = not _is_reached(dataset, where)
    try:
        found = load_dataset(dataset.repo, dataset.config, split=split, streaming=not cached)
    except Exception as error:  # as above
        reason = " ".join(str(error).split())[:300]
        told = "the hub cannot be reached, and the cache does not hold it" if cached else "cannot be opened"
        raise DinaError(f"{where}: {told} ({reason}); {_instead(dataset)}") from error
    rows, split = (found, split) if split is not None else _only_split(dataset, found, where)
    for name, feature in (rows.features or {}).items():  # images are left as bytes and paths
        if isinstance(feature, Image):
            rows = rows.cast_column(name, Image(decode=False))
        elif isinstance(feature, List) and isinstance(feature.feature, Image):
            rows = rows.cast_column(name, List(Image(decode=False)))
    return rows, split


def _only_split(dataset: HubDataset, found: Mapping[str, Any], where: str) -> tuple[Any, str]:
    """The rows and the name of the only split; ValueError that lists them where there are several."""
    if len(found) != 1:
        place = f"{HUB}{dataset.repo}{f'/{dataset.config}' if dataset.config else ''}"
        names = ", ".join(f"{place}:{name}" for name in found)
        raise DinaError(f"{where}: has several splits; give the one that is meant: {names}")
    return next((rows, name) for name, rows in found.items())


def _is_reached(dataset: HubDataset, where: str) -> bool:
    """Whether the data set can be asked for; False where the hub is declared offline, so that only the cache is read.

    One question to the hub: the library that streams would ask for most of a minute before it gives up. Raises
    ValueError where there is no answer.
    """
    from huggingface_hub import HfApi, constants

    if Path(dataset.repo).is_dir():
        return True
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        HfApi().dataset_info(dataset.repo, timeout=REACH_SECONDS)
    except Exception as error:  # errors of the hub, and of whichever HTTP client its library is built on
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise DinaError(f"{where}: the hub cannot be reached, or refuses ({reason}); {_instead(dataset)}") from error
    return True


def _instead(dataset: HubDataset) -> str:
    return (
        f"where there is a network, run `hf download {dataset.repo} --repo-type dataset --local-dir DIR`, and give the "
        f"folder: {'hub:DIR' if dataset.own else '--path DIR'}"
    )
