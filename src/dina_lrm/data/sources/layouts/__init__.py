"""Layouts of comparisons that are read as they are: one file for each, one row of `LAYOUTS` for each.

A table with the columns of a row is read by that row; the first that fits counts, so that what tells more stands
before what tells less. `layout.py` says what a layout is, `parts.py` and `reading.py` hold what several share, and
`nearest.py` says what is missing where none fits.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from dina_lrm.data.sources.layouts import chosen_rejected, path1_path2, preferred, published, ranked, two_labels, votes
from dina_lrm.data.sources.layouts.layout import Layout, Reading

LAYOUTS: Final[dict[str, Layout]] = {
    **published.LAYOUTS,
    "votes": votes.LAYOUT,
    "weighted-votes": votes.WEIGHTED,
    "two-labels": two_labels.LAYOUT,
    "ranks": ranked.WITH_RANKS,
    "ranked": ranked.LAYOUT,
    "chosen-rejected": chosen_rejected.LAYOUT,
    "preferred": preferred.LAYOUT,
    "path1-path2": path1_path2.LAYOUT,
}
"""Every layout by its name, in the order in which they are looked for."""
OWN_LAYOUTS: Final = {name: layout for name, layout in LAYOUTS.items() if name not in published.LAYOUTS}
"""Those that belong to no published data set."""
OPTIONAL: Final = ("weight", "source", "pair_id", "prompt_id", "votes", "confidence")
"""Columns of these names are taken where they are there, whatever the layout."""


def recognised(columns: Iterable[str], name: str | None = None) -> Reading | None:
    """How a table with these columns is read: by the first layout that fits, or the one of a `name`, or not at all."""
    return _recognised(tuple(map(str, columns)), name)


@lru_cache(maxsize=64)
def _recognised(columns: tuple[str, ...], wanted: str | None) -> Reading | None:
    for name, layout in LAYOUTS.items() if wanted is None else ((wanted, LAYOUTS[wanted]),):
        taken = layout.taken(columns)
        if taken is not None:
            read = {*taken.values(), *layout.also, *OPTIONAL}
            return Reading(name, layout, taken, tuple(column for column in columns if column not in read))
    return None
