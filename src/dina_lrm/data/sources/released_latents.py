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

from dina_lrm.data.comparison import Comparison, EncodedImage
from dina_lrm.data.sources.fields import ReadOptions, comparisons_of, field, text, votes_against
from dina_lrm.data.sources.tables import Row

PIXELS_PER_LATENT = 8
CHANNELS = 16


def tables(path: Path, split: str | None = None) -> list[Path]:
    """A Parquet file, or all below a folder in order of name. Raises FileNotFoundError where there is none."""
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob("*.parquet"))
    if not found:
        raise FileNotFoundError(f"{path}: holds no Parquet file")
    return found


def comparisons(row: Row, options: ReadOptions) -> list[Comparison]:
    """The one comparison of a row. Raises ValueError naming file, row, field and value."""
    return comparisons_of(row, options, "released-latents", _parse)


def conflict(row: Row) -> str | None:
    """Why an accepted row contradicts itself, None where it does not."""
    return votes_against(_votes(_details(row.values.get("detailed_results"))), "image 1")


def _parse(values: Mapping[str, Any], row: Row, options: ReadOptions) -> list[Comparison]:
    prompt = text(values, "prompt")
    first, second = (_latents(values, side) for side in ("1", "2"))
    details = _details(values.get("detailed_results"))
    votes = _votes(details)
    confidence = details.get("confidence")
    return [
        Comparison(
            prompt,
            first,
            second,
            preference=1.0 if votes is None else votes[0] / sum(votes),
            prompt_id=f"released-latents-{prompt}",
            votes=None if votes is None else sum(votes),
            confidence=None if confidence is None else float(confidence),
        )
    ]


def _votes(details: Mapping[str, Any]) -> tuple[int, int] | None:
    given = details.get("choice_dist")
    votes = list(given) if isinstance(given, list | tuple) else []
    return (votes[0], votes[1]) if len(votes) == 2 and sum(votes) > 0 else None


def _latents(values: Mapping[str, Any], side: str) -> EncodedImage:
    name = f"latent{side}"
    stored = field(values, name)
    try:
        array = np.load(io.BytesIO(stored), allow_pickle=False)
    except (TypeError, ValueError, OSError, EOFError) as error:
        raise ValueError(f"{name}: not the bytes of an .npy array ({error})") from error
    if array.dtype != np.float32 or array.ndim != 3 or array.shape[0] != CHANNELS or not np.isfinite(array).all():
        given = f"{array.dtype} of shape {array.shape}"
        raise ValueError(f"{name}: {given}; accepted: finite float32 of shape ({CHANNELS}, height, width)")
    shape = values.get(f"{name}_shape")
    if isinstance(shape, list) and tuple(shape) != array.shape:
        raise ValueError(f"{name} has the shape {array.shape}, {name}_shape says {shape}")
    return EncodedImage(array, str(values.get(f"image{side}_path") or name), PIXELS_PER_LATENT)


def _details(stored: object) -> Mapping[str, Any]:
    if stored is None or stored == "":
        return {}
    try:
        found = ast.literal_eval(stored) if isinstance(stored, str) else stored
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"detailed_results is {stored!r:.60}; accepted: the text of a dictionary") from error
    if not isinstance(found, Mapping):
        raise ValueError(f"detailed_results is {stored!r:.60}; accepted: the text of a dictionary")
    return found
