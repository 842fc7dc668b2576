"""Progress in a notebook is one line that changes, not a page of them."""

import nbformat
from nbclient import NotebookClient

PROGRESS = """
from dina_lrm.console.common import console, progress
with progress("encoding") as report:
    for done in range(1, 301):
        report(done, 300)
with progress("scoring [b]\\x1b[2J") as report:
    report(1, 2)
console().print("what was found")
"""


def test_a_cell_shows_the_last_line_of_each_work():
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(PROGRESS)]
    NotebookClient(book, timeout=120, kernel_name="python3").execute()
    shown = [output.data["text/plain"].strip() for output in book.cells[0].outputs]
    assert len(shown) == 3 and shown[2] == "what was found"
    assert shown[0].startswith("encoding: 300/300  100%") and shown[1].startswith("scoring [b]\\x1b[2J: 1/2  50%")
