"""The kinds of malformed requests, and how many of each."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from benchmarks.serving_fuzzing import blobs, pickles, pictures, texts, wire
from benchmarks.serving_fuzzing.good import Known
from benchmarks.serving_fuzzing.requests import Case

SCHEMA = "schema"
KINDS: dict[str, tuple[int, Callable[[Known, random.Random], Case]]] = {
    "header": (8, blobs.header),
    "tensor": (8, blobs.tensor),
    "protocol 2": (8, blobs.second),
    "version": (2, blobs.version),
    "prompt": (4, blobs.prompt),
    "json": (6, texts.syntax),
    "value": (12, texts.values),
    "reference": (5, texts.reference),
    "picture": (9, pictures.file),
    "crowd": (1, pictures.crowd),
    "multipart": (6, pictures.multipart),
    "packing": (4, wire.packing),
    "opcode": (6, pickles.opcode),
    "pickle": (6, pickles.strange),
    "cut pickle": (6, pickles.broken),
    "framing": (9, wire.framing),
    "slow": (2, wire.slow),
}
"""The share of each kind, and what makes one; those of the schema come beside them."""
SCHEMA_SHARE = 12


def order() -> tuple[str, ...]:
    """The kinds of a round, each as often as its share, well mixed."""
    kinds = [kind for kind, (share, _) in KINDS.items() for _ in range(share)] + [SCHEMA] * SCHEMA_SHARE
    random.Random(0).shuffle(kinds)
    return tuple(kinds)


def make(kind: str, known: Known, rng: random.Random, schema: Sequence[Case]) -> Case:
    """A case of a kind."""
    return rng.choice(schema) if kind == SCHEMA else KINDS[kind][1](known, rng)
