"""What the documents show is what happens: every bash and python block of README.md and docs/ is executed.

The blocks of one document run in order, each in a process of its own, in one empty folder, without a network.
"""

import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from hatch_build import with_absolute_links
from scripts.names_page import page
from tests.documents import DOCUMENTS, OTHER, ROOT, RUNNABLE, Block, blocks_of

# blocks that are shown and not run: a new one must be added here, with its reason in the document
NOT_RUN = {"README.md": 1, "docs/data.md": 1, "docs/scaling.md": 3, "docs/trainers.md": 2}


def name_of(document):
    return str(document.relative_to(ROOT))


def with_marks(document):
    slow = any(block.slow for block in blocks_of(document.read_text()))
    return pytest.param(document, id=name_of(document), marks=[pytest.mark.slow] if slow else [])


def environment(home, programs):
    """The variables a block sees: the programs first on the path, a home of its own, no network, few threads."""
    scripts = f"{programs}{os.pathsep}{Path(sys.executable).parent}"
    return {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "PYTHONWARNINGS": "error::DeprecationWarning:dina_lrm",
        "LC_ALL": "C.UTF-8",
    }


@pytest.mark.parametrize("document", [with_marks(document) for document in DOCUMENTS])
def test_every_block_runs(document, tmp_path, warm_programs):
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    printed = ""
    for block in blocks_of(document.read_text()):
        if block.printed:
            assert printed == block.text, f"{name_of(document)}, line {block.line} is not what the block before prints"
        if block.language not in RUNNABLE or block.not_run:
            continue
        shell = (
            ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [str(warm_programs / "python"), "-c"]
        )
        seen = environment(home, warm_programs)
        done = subprocess.run([*shell, block.text], cwd=folder, env=seen, capture_output=True, text=True)
        where = f"{name_of(document)}, line {block.line}"
        assert done.returncode == 0, f"{where} exits with {done.returncode}:\n{done.stdout}{done.stderr}"
        printed = done.stdout


def test_what_is_not_run_is_counted_and_has_a_reason():
    found = {
        name_of(document): [b for b in blocks_of(document.read_text()) if b.not_run is not None]
        for document in DOCUMENTS
    }
    assert {name: len(blocks) for name, blocks in found.items() if blocks} == NOT_RUN
    assert all(len(block.not_run) > 10 for blocks in found.values() for block in blocks)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_fence_names_a_language_that_is_known(document):
    unknown = [b for b in blocks_of(document.read_text()) if b.language not in RUNNABLE + OTHER]
    assert not unknown, f"write one of {RUNNABLE + OTHER} behind the fence"


def test_blocks_are_found_with_their_notes():
    plain = "a\n```bash\nls\n```\n\n"
    noted = "<!-- not run: takes a GPU -->\n```python\nx = '''\n'''\n```\n\n"
    text = f"{plain}{noted}<!-- slow: trains -->\n\n~~~text\nb\n~~~\n\n<!-- printed: it -->\n```text\n1\n```\n"
    assert blocks_of(text) == [
        Block("bash", "ls\n", 2),
        Block("python", "x = '''\n'''\n", 7, not_run="takes a GPU"),
        Block("text", "b\n", 14, slow="trains"),
        Block("text", "1\n", 19, printed="it"),
    ]


def test_the_command_page_lists_every_command():
    from dina_lrm.cli.commands import COMMANDS

    text = (ROOT / "docs" / "cli.md").read_text()
    assert [command for command in COMMANDS if f"`dina-lrm {command}" not in text] == []


def shown_names(text):
    return [line.removeprefix("::: ") for line in text.splitlines() if line.startswith(":::")]


def test_the_python_page_shows_every_public_name_and_jobs_that_there_are():
    import dina_lrm

    public, _, jobs = (ROOT / "docs" / "api.md").read_text().partition("\n## Jobs\n")
    assert {name.rpartition(".")[2] for name in shown_names(public)} == set(dina_lrm.__all__) - {"__version__"}
    for name in shown_names(jobs):
        module, _, attribute = name.rpartition(".")
        assert getattr(import_module(module), attribute).__doc__


def test_the_page_of_names_is_what_the_tables_say():
    assert (ROOT / "docs" / "names.md").read_text() == page(), "write it again: python scripts/names_page.py"


def test_the_install_page_names_every_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    install = (ROOT / "docs" / "install.md").read_text()
    assert [name for name in extras if f"`{name}`" not in install] == []


def test_a_package_index_sees_absolute_links_once_the_repository_has_an_address():
    shown = with_absolute_links((ROOT / "README.md").read_text(), "https://example.org/a/b/")
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", shown)
    assert links and all(target.startswith("https://") for link in links for target in link if target)
    assert 'src="https://example.org/a/b/raw/HEAD/docs/images/strip-wide-light.png"' in shown
    assert "(https://example.org/a/b/blob/HEAD/docs/paper.md)" in shown


def test_every_relative_link_of_the_readme_is_a_file():
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"", (ROOT / "README.md").read_text())
    targets = {target for link in links for target in link if target and not target.startswith("https://")}
    assert targets and [target for target in sorted(targets) if not (ROOT / target).is_file()] == []


def test_every_page_stands_in_the_navigation_once():
    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        return [page for each in (entry.values() if isinstance(entry, dict) else entry) for page in pages(each)]

    listed = pages(tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"])
    assert sorted(listed) == sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))
