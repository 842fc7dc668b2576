"""Rows of Parquet files, a few in memory at a time: they may hold images, or latents of a MiB each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from dina_lrm.data.sources.rows import Row, check_header
from dina_lrm.typed import DinaError

ROWS_AT_ONCE: Final = 64
_BUFFER: Final = 2**20
"""Bytes read at once of a column: without it, those of a whole row group are."""


def parquet_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Each row with its number; with `columns` only those of its values are read, such as "image.path" of a struct.

    Raises ValueError naming the file where it is damaged, or is no Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as table:
            check_header(path, table.schema_arrow.names)
            for batch in table.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(path, f"row {number}", values)
    except (pa.ArrowException, OSError) as error:
        read = f", damaged after row {number}" if number else ""
        raise DinaError(f"{path}: not a Parquet file{read} ({' '.join(str(error).split()):.200})") from error
