import errno
import subprocess
import sys

import pytest
import safetensors

from dina_lrm.console.ending import code_of, line_of
from dina_lrm.runs.stopping import Stopped

FRAMES = """PytorchStreamReader failed reading zip archive: failed finding central directory
Exception raised from valid at ../caffe2/serialize/inline_container.cc:197 (most recent call first):
frame #0: c10::Error::Error(c10::SourceLocation, std::string) + 0xb0 (0x7f)
"""
ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."
)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("a\nb.png: no such file"), 2, "a b.png: no such file"),
        (RuntimeError(FRAMES), 1, "PytorchStreamReader failed reading zip archive: failed finding central directory"),
        (KeyError("step"), 1, "KeyError: 'step'"),
        (ZeroDivisionError(), 1, "ZeroDivisionError"),
        (KeyboardInterrupt(), 1, "interrupted"),
        (Stopped(), 1, "stopped by a signal"),
        (MemoryError(), 1, "out of memory; smaller batches or images need less"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 1, "[Errno 28] No space left on device: 'x'"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), 2, "[Errno 36] File name too long: 'x'"),
        (OSError(errno.EROFS, "Read-only file system", "x"), 2, "[Errno 30] Read-only file system: 'x'"),
        (OSError("x does not appear to have a file named config.json"), 2, "x does not appear to have a file named"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), 1, "[Errno 111] Connection refused"),
        (safetensors.SafetensorError("header too large"), 2, "header too large"),
        (RuntimeError("a\x1b[2J"), 1, r"a\x1b[2J"),
    ],
    ids=repr,
)
def test_an_error_has_a_code_and_one_line(error, code, line):
    assert code_of(error) == code
    assert line_of(error).startswith(line) and "\n" not in line_of(error)


def test_memory_that_torch_lacks_is_said_without_its_files():
    assert line_of(RuntimeError(ALLOCATOR)).startswith("out of memory (DefaultCPUAllocator: can't allocate memory")


def test_half_a_character_is_named():
    with pytest.raises(UnicodeEncodeError) as raised:
        "a \ud83d".encode()
    assert line_of(raised.value) == r"'a \ud83d' holds what utf-8 cannot say; accepted: whole characters"


def test_line_ends_of_a_name_are_told_from_those_of_a_library(tmp_path):
    from dina_lrm.runs.places import check_file

    (tmp_path / "a\nb").mkdir()
    with pytest.raises(ValueError) as raised:
        check_file("--json", tmp_path / "a\nb")
    assert r"a\nb: is a folder" in line_of(raised.value)


def test_a_stopped_command_says_so_in_its_json(tmp_path):
    code = f"""
import json, os, signal, sys
from dina_lrm.console.command import Command
from dina_lrm.cli.main import main
import tests.cli.toy as toy
toy.run = lambda arguments: os.kill(os.getpid(), signal.SIGTERM) or signal.pause()
toys = {{"toy": Command("tests.cli.toy_arguments", "tests.cli.toy:run", "")}}
sys.exit(main(["toy", "3", "--json", {str(tmp_path / "r.json")!r}], toys))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "dina-lrm toy: error: stopped by a signal\n")
    assert (tmp_path / "r.json").read_text() == '{\n  "error": "stopped by a signal"\n}\n'
