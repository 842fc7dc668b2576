"""Every kind of cell is one file, read as it was written; the committed ones keep reading."""

import json

import pytest

from dina_lrm.experiments.ablations.cells import Cell
from dina_lrm.experiments.alignment.cells import AlignedCell
from dina_lrm.experiments.cells import cell_name, load_cells
from tests.documents import ROOT

FOLDERS = {Cell: ROOT / "docs" / "results" / "cells", AlignedCell: ROOT / "docs" / "results" / "alignment" / "cells"}


@pytest.mark.parametrize("kind", FOLDERS)
def test_committed_cells_are_read_and_nothing_of_them_is_lost_when_they_are_written_again(kind, tmp_path):
    cells = load_cells(kind, FOLDERS[kind])
    assert len(cells) > 60
    for name, cell in list(cells.items())[:5]:
        assert name == cell.name == cell_name(cell.variant, cell.seed)
        cell.save(tmp_path)
        before, after = (json.loads((folder / f"{name}.json").read_text()) for folder in (FOLDERS[kind], tmp_path))
        assert holds(after, before)
    assert load_cells(kind, tmp_path) == dict(list(cells.items())[:5])


def holds(value, part):
    """Whether a JSON value has all of another; later versions may say more."""
    if isinstance(part, dict):
        return isinstance(value, dict) and all(key in value and holds(value[key], part[key]) for key in part)
    if isinstance(part, list):
        return len(value) == len(part) and all(map(holds, value, part))
    return value == part


def test_a_cell_of_another_kind_is_named():
    with pytest.raises(ValueError, match=r"seed-\d\.json: not a cell of this version"):
        load_cells(Cell, FOLDERS[AlignedCell])
