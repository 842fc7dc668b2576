"""Pages of studies: the committed ones are what the committed cells say, word for word."""

import json
from pathlib import Path

import pytest

from dina_lrm.experiments.ablations.page import AblationResults
from dina_lrm.experiments.ablations.tables import ABLATIONS
from dina_lrm.experiments.alignment.page import AlignmentResults
from dina_lrm.experiments.alignment.studies import ALIGNMENT_STUDIES
from dina_lrm.experiments.page import MarkdownTable, page_text
from tests.documents import ROOT

RESULTS = ROOT / "docs" / "results"
STUDIES = {
    "ablate all --out docs/results": (AblationResults, RESULTS, (0, 1, 2), ABLATIONS),
    "align study all --seeds 0 1 2 3 4 --out docs/results/alignment": (
        AlignmentResults, RESULTS / "alignment", (0, 1, 2, 3, 4), ALIGNMENT_STUDIES,
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", STUDIES)
def test_the_committed_page_is_what_the_committed_cells_say(words: str) -> None:
    kind, out, seeds, tables = STUDIES[words]
    results = kind.of(out, seeds)
    measured = tuple(name for name in tables if results.is_measured(name))
    assert page_text(results, out, measured, f"dina-lrm {words}") == out.with_name(f"{out.name}.md").read_text()
    stored = json.loads((out / "results.json").read_text())
    for name, found in stored.items():
        rows = json.loads(json.dumps(results.rows(name)))["rows"]
        assert [row["label"] for row in rows] == [row["label"] for row in found["rows"]]
        for row, kept in zip(rows, found["rows"], strict=True):
            assert row.keys() == kept.keys(), "readers know these words"
            values = (row["gain"], kept["gain"]) if "gain" in row else (row, kept)
            for key, value in values[1].items():
                if isinstance(value, dict):
                    assert values[0][key] == pytest.approx(value, rel=1e-9), (name, key)


@pytest.mark.parametrize("words", STUDIES)
def test_nothing_is_written_of_no_cells(words: str, tmp_path: Path) -> None:
    kind, _, seeds, tables = STUDIES[words]
    results = kind.of(tmp_path, seeds)
    assert not any(results.is_measured(name) for name in tables)


def test_a_table_in_markdown() -> None:
    assert str(MarkdownTable(["a", "b"], [["1", ""], ["x", "y"]])) == "| a | b |\n|---|---|\n| 1 |  |\n| x | y |"
