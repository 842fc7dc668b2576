"""Shapes and types are checked while the tests run, in the modules that annotate shapes (jaxtyping + beartype).

`DINA_LRM_NO_TYPECHECK=1` turns that off, to time a test or to read a plain traceback.
"""

import gc
import os
from typing import Any

import pytest
from hypothesis import settings

# The tests' tensors are tiny: threads would only wait for each other, in the processes that tests start too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Kernels are compiled here: processes for them would each import torch first.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

if not os.environ.get("DINA_LRM_NO_TYPECHECK"):
    from jaxtyping import install_import_hook

    from tests.typecheck import modules_with_shapes

    install_import_hook(modules_with_shapes(), "tests.typecheck.first_calls")

import torch

# Processes are killed here and the machine is not, which keeps what was written: nothing waits for the disk.
os.fsync = os.fstat  # type: ignore[assignment]

pytest_plugins = ["tests.fixtures"]

torch.set_num_threads(1)

# What is imported stays: looking for garbage in it, again and again, took a seventh of the tests' time.
gc.disable()

# A time limit per example would measure the machine's load.
settings.register_profile("dina_lrm", deadline=None)
settings.load_profile("dina_lrm")


def pytest_collection_finish() -> None:
    """From here on garbage is collected, among what the tests make."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the processes of xdist, long files first."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        from tests.schedule import long_first

        items[:] = long_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files as units, but those of long tests that share nothing."""
    if config.getoption("dist") == "loadfile":
        from tests.schedule import TestsApart

        return TestsApart(config, log)
    return None
