import json
import subprocess
import sys
from pathlib import Path

import pytest

import dina_lrm.cli
from dina_lrm import __version__
from dina_lrm.cli.commands import COMMANDS
from dina_lrm.cli.main import main
from dina_lrm.console.command import Command
from dina_lrm.runs.lock import held_name

TOYS = {
    "toy": Command("tests.cli.toy_arguments", "tests.cli.toy:run", "Do a toy's work."),
    "group toy": Command("tests.cli.toy_arguments", "tests.cli.toy:run", "The same, in a group."),
}


def toy(*words):
    return main(words, TOYS)


def test_a_command_that_is_done_exits_with_0_and_writes_its_result(tmp_path, capsys):
    target = tmp_path / "new folder" / "result.json"
    assert toy("toy", "3", "--json", str(target)) == 0
    assert json.loads(target.read_text()) == {"square": 9.0, "where": "here", "lost": None, "pair": [1, None]}
    assert [path.name for path in target.parent.iterdir()] == ["result.json"]
    assert capsys.readouterr().out == "squared\n"


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        ("failed", 1, "2 of 3 did not work"),
        ("bug", 1, "the toy broke"),
        ("interrupt", 1, "interrupted"),
        ("bad", 2, "--number: 7 given, an even number is accepted"),
        ("odd", 2, "--end odd: refused before the work is imported"),
        ("missing", 2, "[Errno 2] No such file or directory: 'nowhere.csv'"),
    ],
)
def test_an_ending_has_its_exit_code_and_its_message_without_a_traceback(end, code, message, tmp_path, capsys):
    target = tmp_path / "result.json"
    target.write_text("what an earlier run left")
    assert toy("toy", "3", "--end", end, "--quiet", "--json", str(target)) == code
    assert capsys.readouterr() == ("", f"dina-lrm toy: error: {message}\n")
    written = json.loads(target.read_text())
    assert written.pop("error") == message
    assert written == ({"done": 1} if end == "failed" else {})


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("DINA_LRM_DEBUG", "1")
    with pytest.raises(RuntimeError, match="the toy broke"):
        toy("toy", "3", "--end", "bug")


@pytest.mark.parametrize("words", [("toy", "3", "--unheard"), ("toy",), ("toy", "three"), ("toy", "3", "--end", "so")])
def test_bad_options_exit_with_2_and_point_to_the_help(words, capsys):
    assert toy(*words) == 2
    assert "dina-lrm toy --help" in capsys.readouterr().err


def test_a_folder_as_json_target_is_refused_before_the_work(tmp_path, capsys):
    assert toy("toy", "3", "--json", str(tmp_path)) == 2
    assert "is a folder" in capsys.readouterr().err


def test_unknown_commands_are_answered_with_the_nearest_ones(capsys):
    assert toy("toi", "3") == 2
    assert "unknown command 'toi'; did you mean 'toy'?" in capsys.readouterr().err
    assert toy("group", "toyy") == 2
    assert "unknown command 'group toyy'; did you mean 'group toy'?" in capsys.readouterr().err
    assert toy("zzz") == 2
    assert "the commands are toy, group toy" in capsys.readouterr().err


def test_commands_of_two_words(capsys):
    assert toy("group", "toy", "2") == 0
    assert toy("group", "--help") == 0
    listing = capsys.readouterr().out
    assert "usage: dina-lrm group COMMAND" in listing and "group toy" in listing and "  toy " not in listing


def test_help_lists_the_commands_and_nothing_given_is_bad_input(capsys):
    assert toy("--help") == 0
    assert "Do a toy's work." in capsys.readouterr().out
    assert toy() == 2
    assert "usage: dina-lrm COMMAND" in capsys.readouterr().err


def test_progress_in_a_log_is_a_line_every_tenth(capsys):
    assert toy("toy", "3") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "squaring: 0/100  0%" and lines[-1] == "squaring: 100/100  100%" and len(lines) == 11


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"dina-lrm {command}" in text.split("─ options")[0].split("\n", 1)[1], (
        "the docstring of Arguments has no example"
    )
    assert "--json FILE" in text


def test_every_file_of_options_is_in_the_table():
    root = Path(dina_lrm.cli.__path__[0])
    files = [path.relative_to(root) for path in root.rglob("*.py") if "\nclass Arguments(" in path.read_text()]
    found = {".".join(("dina_lrm", "cli", *path.with_suffix("").parts)) for path in files}
    assert found == {command.arguments for command in COMMANDS.values() if ":" not in command.arguments}


@pytest.mark.parametrize("words", [("toy", "--help"), ("toy",), ("toy", "three"), ("toy", "3", "--end", "odd")])
def test_the_work_is_imported_only_when_it_is_done(words, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "tests.cli.toy", raising=False)
    toy(*words)
    assert "tests.cli.toy" not in sys.modules and "toy" in "".join(capsys.readouterr())


def test_version_through_python_m():
    done = subprocess.run([sys.executable, "-m", "dina_lrm", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"dina-lrm {__version__}\n"


HELPS = [["--help"], ["--version"], *([*name.split(), "--help"] for name in COMMANDS)]
IN_FORKS = """
import json, os, sys
from dina_lrm.cli.main import main
heavy = {"torch", "diffusers", "transformers", "peft", "accelerate", "datasets", "matplotlib"}
found = {}
for words in json.loads(sys.argv[1]):
    pid = os.fork()
    if pid == 0:
        sys.stdout = open(os.devnull, "w")
        os._exit(bool(main(words) or heavy & set(sys.modules)))
    found[" ".join(words)] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps(found))
"""


@pytest.fixture(name="helps", scope="module")
def _helps():
    """How each help ends in a fork of a process that has imported the command line alone: 0 if nothing is loaded."""
    words = [sys.executable, "-c", IN_FORKS, json.dumps(HELPS)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_help_does_not_wait_for_heavy_imports(words, helps):
    assert helps[" ".join(words)] == 0


def test_where_the_folder_is_gone_the_error_says_so(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert toy("toy", "3") == 2
    assert "the folder where you are is there no more" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "--prompts", "a", "--out", "out"],
        ["sample", "curve", "--out", "out"],
        ["evaluate", "sharpness", "--on", "c.jsonl", "--out", "out"],
        ["calibrate", "synthetic", "--out", "out"],
        ["convert", "model", "out"],
        ["data", "filter", "c.jsonl", "--out", "out"],
        ["ablate", "--out", "out"],
        ["align", "study", "--out", "out"],
        ["demo", "--out", "out"],
    ],
)
def test_a_second_command_on_one_target_is_refused_at_once(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with held_name(Path("out")):
        assert main(words) == 2
    assert "another process is writing there" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("words", "said"), [([], "error: no command"), (["align"], "error: align: no command")])
def test_words_that_end_before_a_command_are_an_error_in_a_line(words, said, capsys):
    assert main(words) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
