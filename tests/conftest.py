"""Shapes and types of every public function are checked while the tests run (jaxtyping + beartype).

`DINA_LRM_NO_TYPECHECK=1` turns that off, to time a test or to read a plain traceback.
"""

import os
from typing import Any

import pytest
from hypothesis import settings

if not os.environ.get("DINA_LRM_NO_TYPECHECK"):
    from jaxtyping import install_import_hook

    install_import_hook("dina_lrm", "beartype.beartype")

import torch

pytest_plugins = ["tests.fixtures"]

# The tests' tensors are tiny: threads would only wait for each other.
torch.set_num_threads(1)

# A time limit per example would measure the machine's load.
settings.register_profile("dina_lrm", deadline=None)
settings.load_profile("dina_lrm")


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
