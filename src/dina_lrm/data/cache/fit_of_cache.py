"""How well the pictures of a cache fit its sizes, also where its header does not say it yet."""

from __future__ import annotations

from pathlib import Path

from dina_lrm.data.cache.fit import FitTally, SizeFit
from dina_lrm.data.cache.format import CacheHeader
from dina_lrm.data.cache.tables import IMAGES_FILE, read_columns


def fit_of(folder: Path, header: CacheHeader) -> SizeFit | None:
    """What the header says or, of earlier versions, the table of images; None where neither knows sizes of pictures."""
    if header.fit is not None or header.format_version < 2:
        return header.fit
    tally = FitTally(header.sizes)
    columns = read_columns(folder, IMAGES_FILE, header)
    for bucket, width, height, sha256 in zip(
        *(columns[n] for n in ("bucket", "width", "height", "sha256")), strict=True
    ):
        if sha256:
            tally.count(int(bucket), int(width), int(height))
    return tally.fit
