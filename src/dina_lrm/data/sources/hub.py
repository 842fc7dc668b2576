"""Rows streamed from the Hugging Face Hub through the datasets library, images left as the bytes they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dina_lrm.data.sources.rows import Row
from dina_lrm.typed import DinaError

REACH_SECONDS = 10.0


@dataclass(frozen=True)
class HubDataset:
    """A data set on the hub (or a local folder in its layout): its id, its configuration, its columns of images."""

    repo: str
    config: str | None = None
    image_columns: tuple[str, ...] = ()


def hub_rows(dataset: HubDataset, split: str) -> Iterator[Row]:
    """Every row of a split, streamed: nothing is stored, and memory does not grow.

    Raises:
        ValueError: the data set cannot be reached or opened, or the stream breaks; the message holds the reason and
            what to do.
    """
    from datasets import Image, load_dataset

    where = f"{dataset.repo}, split {split!r}"
    _check_reached(dataset, where)
    try:
        rows = load_dataset(dataset.repo, dataset.config, split=split, streaming=True)
    except Exception as error:  # the library raises its own, the hub's and the network's errors
        raise DinaError(f"{where}: cannot be opened ({error}); {_instead(dataset)}") from error
    for column in dataset.image_columns:
        if column in (rows.features or {}):
            rows = rows.cast_column(column, Image(decode=False))
    number = 0
    stream = enumerate(rows, start=1)
    while True:
        try:
            number, values = next(stream)
        except StopIteration:
            return
        except Exception as error:  # as above
            raise DinaError(f"{where}: broke off after row {number} ({error}); {_instead(dataset)}") from error
        yield Row(Path(dataset.repo) / split, f"row {number}", dict(values))


def _check_reached(dataset: HubDataset, where: str) -> None:
    """One question to the hub: the library that streams would ask for most of a minute before it gives up."""
    from huggingface_hub import HfApi

    if Path(dataset.repo).is_dir():
        return
    try:
        HfApi().dataset_info(dataset.repo, timeout=REACH_SECONDS)
    except Exception as error:  # errors of the hub, and of whichever HTTP client its library is built on
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise DinaError(f"{where}: the hub cannot be reached, or refuses ({reason}); {_instead(dataset)}") from error


def _instead(dataset: HubDataset) -> str:
    return (
        f"where there is a network, run `hf download {dataset.repo} --repo-type dataset --local-dir DIR`, and give the "
        "folder: --path DIR"
    )
