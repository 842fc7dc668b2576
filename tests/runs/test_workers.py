"""Workers are forks of one process that has imported what they need."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from concurrent.futures import ProcessPoolExecutor
from dina_lrm.runs.workers import worker_context

def seen():
    return "wave" in sys.modules, os.getppid()

if __name__ == "__main__":
    found = []
    for modules in (["wave"], ["wave", "chunk"]):
        with ProcessPoolExecutor(1, mp_context=worker_context(*modules)) as pool:
            found.append(pool.submit(seen).result())
    imported, parents = zip(*found)
    print("wave" in sys.modules, *imported, len({*parents, os.getpid()}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every worker is an interpreter of its own")
def test_workers_of_all_pools_come_from_one_process_that_has_imported_their_modules(tmp_path, warm_programs):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run([warm_programs / "python", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True", "True", "2"], done.stderr
