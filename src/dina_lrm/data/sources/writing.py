"""Write comparisons as JSONL, CSV or Parquet, atomically, in the columns that `sources.ours` reads."""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from dina_lrm.data.comparison import Comparison, EncodedImage, ImageSource, UnreadableImage
from dina_lrm.data.named import as_text
from dina_lrm.data.sources.columns import COLUMNS, REQUIRED
from dina_lrm.images import png_bytes
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.typed import DinaError

PARQUET_ROWS = 256


def write_comparisons(path: str | Path, comparisons: Iterable[Comparison], embed_images: bool = False) -> int:
    """Write a comparison file, whose suffix (.jsonl, .csv, .parquet) says the format; returns the number of rows.

    Images stay paths, relative to the file where they lie below its folder. `embed_images` (Parquet only) stores
    the bytes of every image instead, so that the file can travel alone. The file appears when it is complete.

    Raises:
        ValueError: an unknown suffix; images in memory for a format that holds paths only.
    """
    path = Path(path)
    writer = check_format(path)
    if embed_images and path.suffix.lower() != ".parquet":
        raise DinaError(f"{path}: embed_images needs a .parquet file; {path.suffix} holds paths only")
    path.parent.mkdir(parents=True, exist_ok=True)
    encode = _embedded if embed_images else _as_path
    with replaced_when_complete(path) as temporary:
        return writer(temporary, (_values(comparison, path, encode) for comparison in comparisons))


def check_format(path: Path) -> Callable[[Path, Iterator[Values]], int]:
    """The writer of a file of that suffix; raises ValueError naming the accepted ones."""
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise DinaError(f"{path}: unknown format {path.suffix!r}; accepted: {', '.join(WRITERS)}")
    return writer


Values = dict[str, Any]


def _values(comparison: Comparison, path: Path, encode: Callable[[ImageSource, Path], str | bytes]) -> Values:
    values: Values = {name: getattr(comparison, name) for name in COLUMNS}
    values["preferences"] = as_text(comparison.preferences)
    return values | {name: _encoded(values[name], path, encode) for name in ("image_a", "image_b")}


def _encoded(image: ImageSource, path: Path, encode: Callable[[ImageSource, Path], str | bytes]) -> str | bytes | None:
    """The cell of an image; one that had no picture is left empty, as it was found."""
    return None if isinstance(image, UnreadableImage) else encode(image, path)


def _as_path(image: ImageSource, path: Path) -> str | bytes:
    if isinstance(image, str | Path):
        absolute, folder = Path(os.path.abspath(image)), Path(os.path.abspath(path.parent))
        inside = absolute.is_relative_to(folder)
        return str(absolute.relative_to(folder) if inside else absolute)
    if path.suffix.lower() != ".parquet":
        raise DinaError(
            f"{path}: an image is held in memory, and {path.suffix} holds paths only; "
            "write a .parquet file, or save the images first"
        )
    return _embedded(image, path)


def _embedded(image: ImageSource, path: Path) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, EncodedImage | UnreadableImage):
        raise DinaError(f"{path}: {image.name} is known by its latents alone, which a comparison file cannot hold")
    return Path(image).read_bytes() if isinstance(image, str | Path) else png_bytes(image)


def _write_jsonl(path: Path, rows: Iterator[Values]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for values in rows:
            given = {name: value for name, value in values.items() if value is not None or name in REQUIRED}
            if "preferences" in given:
                given["preferences"] = json.loads(given["preferences"])
            file.write(json.dumps(given, ensure_ascii=False) + "\n")
            count += 1
    return count


def _write_csv(path: Path, rows: Iterator[Values]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for values in rows:
            writer.writerow(values)
            count += 1
    return count


def _write_parquet(path: Path, rows: Iterator[Values]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = list(itertools.islice(rows, PARQUET_ROWS))
    images = (image for values in first for image in (values["image_a"], values["image_b"]) if image is not None)
    kind = pa.binary() if isinstance(next(images, None), bytes) else pa.string()
    numbers = {"preference": pa.float64(), "weight": pa.float64(), "confidence": pa.float64(), "votes": pa.int64()}
    kinds = {"image_a": kind, "image_b": kind, **numbers}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        rows = itertools.chain(first, rows)
        while batch := list(itertools.islice(rows, PARQUET_ROWS)):
            _check_one_kind(batch, bytes if pa.types.is_binary(kind) else str, count)
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def _check_one_kind(batch: list[Values], kind: type, start: int) -> None:
    for number, values in enumerate(batch, start=start + 1):
        if not all(isinstance(values[name], kind | None) for name in ("image_a", "image_b")):
            raise DinaError(
                f"comparison {number} mixes image paths and images in memory with the ones before it; "
                "use embed_images=True to store the bytes of all"
            )


WRITERS: dict[str, Callable[[Path, Iterator[Values]], int]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
