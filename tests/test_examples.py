"""The examples and the tour do what they say, at small sizes, and stay short enough to be read."""

import ast
import base64
import io
import json
import runpy
import sys

import pytest
from PIL import Image

from tests.documents import ROOT

FOLDER = ROOT / "examples"
PROGRAMS = sorted(FOLDER.glob("*.py"))
TOUR = FOLDER / "tour.ipynb"


@pytest.fixture
def printed(monkeypatch, capsys):
    """Runs a program as `python examples/NAME` does and gives what it printed."""

    def run(name, *words):
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        monkeypatch.syspath_prepend(FOLDER)
        runpy.run_path(str(FOLDER / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def size_of(picture):
    with Image.open(picture) as image:
        return image.size


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_a_program_is_a_page_that_opens_with_what_it_prints_and_how_long_it_takes(program):
    text = program.read_text()
    told = " ".join((ast.get_docstring(ast.parse(text)) or "").split())
    assert len(text.splitlines()) <= 150
    assert f"python examples/{program.name} --out " in told
    assert "Prints " in told and "seconds on two cores" in told and "To make it yours" in told


def test_a_reward_model_is_trained_and_measured_on_pairs_of_other_prompts(printed, tmp_path):
    out = printed("train_a_reward_model.py", "--out", tmp_path, "--prompts", 8, "--steps", 6)
    assert "learned: 168 pairs of 6 prompts" in out and "held out: 56 pairs of 2 prompts" in out
    assert out.count("loss ") == 6 and "accuracy " in out
    assert " to " in out.split("held out: ")[-1]
    assert (tmp_path / "run" / "model" / "config.json").is_file()
    width, height = size_of(tmp_path / "ranked.png")
    assert width > height > 0


def test_a_reward_of_ones_own_is_climbed_and_judged_by_others(printed, tmp_path):
    out = printed("refl_with_a_reward_of_your_own.py", "--out", tmp_path, "--steps", 2, "--images", 2)
    lines = [line for line in out.splitlines() if line.startswith("update")]
    assert [line.split(":")[0].split()[1] for line in lines] == ["0", "1", "2"]
    assert all(word in line for line in lines for word in ("reward", "image:synthetic", "true utility"))
    assert size_of(tmp_path / "before_and_after.png")[0] > 500
    assert (tmp_path / "run" / "report.html").is_file()
    assert (tmp_path / "run" / "lora" / "pytorch_lora_weights.safetensors").is_file()


def test_best_of_n_says_what_was_dropped_and_what_was_spent(printed, tmp_path):
    out = printed("best_of_n.py", "--out", tmp_path, "-n", 4, "--prompts", "a small green bar on white")
    fates = out.splitlines()[0].split(": ")[1].split(", ")
    assert len(fates) == 4 and sum("dropped at" in fate for fate in fates) == 2
    assert sum(fate.endswith("*") for fate in fates) == 1
    flops = [float(line.split("scores, ")[1].split()[0]) for line in out.splitlines() if "GFLOPs" in line]
    one, every, pruned = flops
    assert one < pruned < every
    assert size_of(tmp_path / "samples.png")[0] > 500


SMALLER = {
    "pairs=150": "pairs=20",
    "steps=32": "steps=3",
    "log_every=4": "log_every=1",
    "synthetic_prompts=40": "synthetic_prompts=12",
    "steps=12": "steps=1",
    "every=12, prompts=6": "every=1, prompts=6",
    "checkpoint_every=12": "checkpoint_every=1",
}
"""What the tour takes its time with."""


def tour():
    """The notebook as it is stored."""
    import nbformat

    return nbformat.read(TOUR, 4)


def of_code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def run_smaller(book, python):
    """Run the cells of code at sizes of a few seconds, in a kernel that is a process of `python`."""
    from jupyter_client import AsyncKernelManager
    from nbclient import NotebookClient

    for long, short in SMALLER.items():
        (cell,) = [cell for cell in of_code(book) if long in cell.source]
        cell.source = cell.source.replace(long, short)
    kernel = AsyncKernelManager(kernel_name="python3")
    # Elsewhere it is the environment that says so, when matplotlib is imported
    kernel.kernel_spec.argv = [str(python), *kernel.kernel_spec.argv[1:], "--matplotlib=inline"]
    NotebookClient(book, kernel, timeout=600).execute(cleanup_kc=True)
    return book


def kinds(cell):
    """What a cell shows: text, pictures, in order."""
    return [sorted(output.get("data", {"text/plain": ""})) for output in cell.outputs]


def pictures(cell):
    found = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in found]


def test_the_tour_is_stored_with_what_it_shows_and_is_small():
    cells = of_code(tour())
    assert TOUR.stat().st_size < 2**20
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown = [picture for cell in cells for picture in pictures(cell)]
    assert len(shown) == 2 and all(picture.width > picture.height > 100 for picture in shown)
    pages = [
        output.data["text/html"] for cell in cells for output in cell.outputs if "text/html" in output.get("data", {})
    ]
    assert [page.count("<img") for page in pages] == [6, 0] and [page.count("<svg") for page in pages] == [0, 1]
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert "stderr" not in json.dumps([cell.outputs for cell in cells])


@pytest.mark.slow
def test_the_tour_runs_and_shows_what_is_stored(warm_programs):
    stored, found = (of_code(book) for book in (tour(), run_smaller(tour(), warm_programs / "python")))
    assert [kinds(cell) for cell in found] == [kinds(cell) for cell in stored]


@pytest.mark.slow
def test_a_machine_that_is_taken_away_changes_nothing_of_a_table(printed, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    out = printed("score_on_two_machines.py", "--out", tmp_path, "--images", 120)
    assert "two machines: 120 of 120 pictures scored" in out
    assert out.rstrip().endswith("the tables are the same")
