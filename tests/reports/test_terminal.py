"""Tables in a terminal: names and intervals stay in one piece in 80 columns."""

from rich.console import Console

from dina_lrm.reports.blocks import Share, Table
from dina_lrm.reports.tables import accuracy_table, counts_table
from dina_lrm.reports.terminal import as_rich
from tests.reports.simulated import simulated_result


def shown(table: Table, width: int = 80) -> str:
    console = Console(width=width, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(as_rich(table))
    return captured.get()


def test_names_and_counts_stay_whole() -> None:
    text = shown(counts_table(simulated_result(pairs=60)))
    assert "Unseen compositions" in text
    assert "Generated" in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_interval_stands_beside_its_value() -> None:
    result = simulated_result(pairs=60)
    accuracy = result.tests[0].readings[0].accuracy
    text = shown(accuracy_table([result]), width=120)
    assert f"{100 * accuracy.accuracy:.1f} ({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f})" in text
    assert "Bayes ceiling" in text


def test_an_empty_table_is_a_heading() -> None:
    assert "Name" in shown(Table(["Name", "Share"], []))
    assert "\u2013" in shown(Table(["Name", "Share"], [["x", None], ["y", Share(0.5)]]))
