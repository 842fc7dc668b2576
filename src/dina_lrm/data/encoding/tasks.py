"""A shard to be made: which rows it has, what they encode, and what comes of it.

`Work` says all that a process needs beside the encoders and can be sent to another one. Batches lie at fixed places
within a shard, and a row that cannot be encoded keeps its place, as zeros: what a shard holds does not depend on who
makes it, or on what was made before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dina_lrm.data.buckets import Bucket
from dina_lrm.data.cache.shards import Tensors
from dina_lrm.data.encoding.pictures import Place


@dataclass(frozen=True)
class Task:
    """The shard called `name`: `rows` rows from number `first` on, of images of a bucket, or of prompts (None)."""

    name: str
    bucket: int | None
    first: int
    rows: int


@dataclass(frozen=True)
class Work:
    """A task with what its rows encode: the texts of prompts, or where pictures are and the size that they get."""

    task: Task
    prompts: tuple[str, ...] = ()
    pictures: tuple[Place, ...] = ()
    size: Bucket | None = None
    aside: Path = Path()
    """The file that pictures without a path are put aside in."""


@dataclass(frozen=True)
class Notes:
    """What is to be said of rows of a shard, by their places in it: why a row is zeros, what was cut off a prompt, how
    many tokens it has (-1: not known). Stored in the head of the shard's file.
    """

    faults: dict[int, str] = field(default_factory=dict)
    cut: dict[int, str] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Encoded:
    """What came of a task."""

    task: Task
    tensors: Tensors
    notes: Notes
