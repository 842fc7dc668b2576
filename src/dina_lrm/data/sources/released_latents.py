"""The pre-encoded preference data released with the paper: Parquet with latents, so that nobody encodes it again.

Rows hold prompt, model1, model2, image1_path, image2_path, latent1, latent2 (bytes of a float32 `.npy` array (16, h/8,
w/8), already in the generator's scaled space), their shapes, and detailed_results, the text of a dictionary with votes
and confidence. Image 1 is preferred, so that sides are decided by a coin here.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dina_lrm.data.comparison import Comparison, EncodedImage, UnreadableImage
from dina_lrm.data.sources.fields import ReadOptions, comparisons_of, field, text, votes_against
from dina_lrm.data.sources.folders import visible, whole
from dina_lrm.data.sources.rows import Row
from dina_lrm.runs.json_files import parse_json
from dina_lrm.typed import DinaError

PIXELS_PER_LATENT = 8
CHANNELS = 16
LONGEST_LITERAL = 2**16
"""Letters of a dictionary that are read as Python's: the reader of such text is not made for more."""


def tables(path: Path, split: str | None = None) -> list[Path]:
    """A Parquet file, or all below a folder in order of name. Raises FileNotFoundError where there is none."""
    if not path.is_dir():
        return [path]
    found = visible(path.rglob("*.parquet"))
    if not found:
        raise FileNotFoundError(f"{path}: holds no Parquet file")
    return whole(found)


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """The one comparison of a row. Raises ValueError naming file, row, field and value."""
    return comparisons_of(row, options, "released-latents", _parse)


def conflict(row: Row) -> str | None:
    """Why an accepted row contradicts itself, None where it does not."""
    return votes_against(_votes(_details(row.values.get("detailed_results"))), "image 1")


def _parse(values: Mapping[str, Any], row: Row, options: ReadOptions) -> list[Comparison]:
    prompt = text(values, "prompt")
    first, second = (_latents(values, side, row) for side in ("1", "2"))
    details = _details(values.get("detailed_results"))
    votes = _votes(details)
    return [
        Comparison(
            prompt,
            first,
            second,
            preference=1.0 if votes is None else votes[0] / sum(votes),
            prompt_id=f"released-latents-{prompt}",
            votes=None if votes is None else sum(votes),
            confidence=_confidence(details.get("confidence")),
        )
    ]


def _votes(details: Mapping[str, Any]) -> tuple[int, int] | None:
    given = details.get("choice_dist")
    if given is None:
        return None
    votes = list(given) if isinstance(given, list | tuple) else []
    whole = all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in votes)
    if len(votes) != 2 or not whole:
        raise DinaError(f"choice_dist is {given!r:.60}; accepted: two numbers of votes, those of image 1 first")
    return (votes[0], votes[1]) if sum(votes) > 0 else None


def _confidence(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DinaError(f"confidence is {value!r:.60}; accepted: null, or a number in [0, 1]")
    return float(value)


def _latents(values: Mapping[str, Any], side: str, row: Row) -> EncodedImage | UnreadableImage:
    name = f"latent{side}"
    array = _array(field(values, name), name)
    if array.dtype != np.float32 or array.ndim != 3 or array.shape[0] != CHANNELS or array.size == 0:
        given = f"{array.dtype} of shape {array.shape}"
        raise DinaError(f"{name}: {given}; accepted: finite float32 of shape ({CHANNELS}, height, width)")
    shape = values.get(f"{name}_shape")
    if isinstance(shape, list) and tuple(shape) != array.shape:
        raise DinaError(f"{name} has the shape {array.shape}, {name}_shape says {shape}")
    if not np.isfinite(array).all():
        return UnreadableImage(f"{row.where}, {name}", "latents that are not finite numbers")
    return EncodedImage(array, str(values.get(f"image{side}_path") or name), PIXELS_PER_LATENT)


def _array(stored: object, name: str) -> NDArray[Any]:
    try:
        if not isinstance(stored, bytes):
            raise TypeError(f"a {type(stored).__name__}")
        found: NDArray[Any] = np.lib.format.read_array(io.BytesIO(stored), allow_pickle=False)
    except (TypeError, ValueError, OSError, EOFError, MemoryError) as error:
        raise DinaError(f"{name}: not the bytes of an .npy array ({error})") from error
    return found


def _details(stored: object) -> Mapping[str, Any]:
    """The dictionary that a text holds: written as JSON, or as Python writes one."""
    if stored is None or stored == "":
        return {}
    found = _parsed(stored) if isinstance(stored, str) else stored
    if not isinstance(found, Mapping):
        raise DinaError(f"detailed_results is {stored!r:.60}; accepted: the text of a dictionary")
    return found


def _parsed(text: str) -> object:
    try:
        return parse_json(text, "detailed_results")
    except ValueError:
        pass
    if len(text) > LONGEST_LITERAL:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
