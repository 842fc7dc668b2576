"""The kinds of sources by name, and which one a place is; what a kind needs is imported when it is the one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from dina_lrm.collecting.candidates.candidate import Candidates
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.data.sources import read_options, source_named
from dina_lrm.data.sources.tables import scan_rows
from dina_lrm.locate import BUNDLED, BUNDLED_LORAS
from dina_lrm.pictures.names import shown
from dina_lrm.rewards.scoring.pictures import is_table
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Kind:
    """A kind of place: `fits` says whether one is of it, the function `candidates` of `module` finds its pairs."""

    about: str
    fits: Callable[[str], bool]
    module: str

    def candidates(self, settings: AnnotateSettings) -> Candidates:
        """The pairs of a place. Raises DinaError for one that has none."""
        find: Callable[[AnnotateSettings], Candidates]
        find = import_module(f"dina_lrm.collecting.candidates.{self.module}").candidates
        return find(settings)


def _is_generator(where: str) -> bool:
    return where in BUNDLED or where in BUNDLED_LORAS or (Path(where) / "model_index.json").is_file()


def _is_run(where: str) -> bool:
    return any((Path(where) / "samples").glob("step-*.npz"))


def _are_comparisons(where: str) -> bool:
    """Whether a place is a table whose first row that can be read is a comparison."""
    path = Path(where)
    if not is_table(path):
        return False
    first = next((row for row in scan_rows(path) if row.fault is None), None)
    try:
        return first is not None and bool(source_named("ours").comparisons(first, read_options(path)))
    except ValueError:
        return False


def _are_pictures(where: str) -> bool:
    return Path(where).is_dir() or is_table(Path(where))


def _never(where: str) -> bool:
    """Two folders are known by the second one."""
    return False


_TWO: Final = "two folders"
KINDS: Final[dict[str, Kind]] = {
    _TWO: Kind("two folders of pictures of the same names (--against)", _never, "two_folders"),
    "generator": Kind("a bundled generator, or the folder of a pipeline", _is_generator, "drawn"),
    "looks": Kind("the folder of an alignment run", _is_run, "run_looks"),
    "comparisons": Kind("a file of comparisons", _are_comparisons, "comparison_file"),
    "pictures": Kind("a folder or a table of pictures", _are_pictures, "pictures"),
}
"""In the order in which a place is tried."""


def kind_of(settings: AnnotateSettings) -> str:
    """Which kind of source a place is. Raises DinaError for one that is none."""
    if settings.against is not None:
        return _TWO
    for name, kind in KINDS.items():
        if kind.fits(settings.where):
            return name
    accepted = "; ".join(kind.about for kind in KINDS.values())
    raise DinaError(f"{shown(settings.where)}: not there, or nothing to vote on; accepted: {accepted}")


def open_candidates(settings: AnnotateSettings) -> Candidates:
    """The pairs of the place that the settings name. Raises DinaError for one that has none."""
    return KINDS[kind_of(settings)].candidates(settings)
