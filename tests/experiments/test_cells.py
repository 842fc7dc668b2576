"""Every kind of cell is one file, read as it was written; the committed ones keep reading."""

import pytest

from dina_lrm.experiments.ablations.cells import Cell
from dina_lrm.experiments.alignment.cells import AlignedCell
from dina_lrm.experiments.cells import cell_name, load_cells
from tests.documents import ROOT

FOLDERS = {Cell: ROOT / "docs" / "results" / "cells", AlignedCell: ROOT / "docs" / "results" / "alignment" / "cells"}


@pytest.mark.parametrize("kind", FOLDERS)
def test_committed_cells_are_read_and_written_again_byte_for_byte(kind, tmp_path):
    cells = load_cells(kind, FOLDERS[kind])
    assert len(cells) > 60
    for name, cell in list(cells.items())[:5]:
        assert name == cell.name == cell_name(cell.variant, cell.seed)
        cell.save(tmp_path)
        assert (tmp_path / f"{name}.json").read_bytes() == (FOLDERS[kind] / f"{name}.json").read_bytes()


def test_a_cell_of_another_kind_is_named():
    with pytest.raises(ValueError, match=r"seed-\d\.json: not a cell of this version"):
        load_cells(Cell, FOLDERS[AlignedCell])
