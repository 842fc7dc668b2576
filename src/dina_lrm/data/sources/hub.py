"""Rows streamed from the Hugging Face Hub through the datasets library, images left as the bytes they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dina_lrm.data.sources.tables import Row


@dataclass(frozen=True)
class HubDataset:
    """A data set on the hub (or a local folder in its layout): its id, its configuration, its columns of images."""

    repo: str
    config: str | None = None
    image_columns: tuple[str, ...] = ()


def hub_rows(dataset: HubDataset, split: str) -> Iterator[Row]:
    """Every row of a split, streamed: nothing is stored, and memory does not grow.

    Raises:
        ValueError: the data set cannot be opened; the message holds the reason.
    """
    from datasets import Image, load_dataset

    try:
        rows = load_dataset(dataset.repo, dataset.config, split=split, streaming=True)
    except Exception as error:  # the library raises its own, the hub's and the network's errors
        raise ValueError(f"{dataset.repo}, split {split!r}: cannot be opened ({error})") from error
    for column in dataset.image_columns:
        if column in (rows.features or {}):
            rows = rows.cast_column(column, Image(decode=False))
    for number, values in enumerate(rows, start=1):
        yield Row(Path(dataset.repo) / split, f"row {number}", dict(values))
