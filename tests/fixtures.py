"""Fixtures of the tiny pipeline. Its module is imported when one is used: diffusers takes seconds to import."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from diffusers import StableDiffusion3Pipeline


@pytest.fixture
def tiny_pipeline() -> "StableDiffusion3Pipeline":
    """A fresh tiny pipeline (dual attention, no T5)."""
    from tests.tiny import tiny_sd3_pipeline

    return tiny_sd3_pipeline()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pipeline on disk; shared by the session, do not write into it."""
    from tests.tiny import saved_tiny_pipeline

    return saved_tiny_pipeline(tmp_path_factory.mktemp("tiny") / "generator")


@pytest.fixture(scope="session")
def warm_programs() -> Iterator[Path]:
    """A folder with `python` and `dina-lrm`, whose processes have imported already what commands import."""
    from tests.warm.programs import programs

    with programs() as folder:
        yield folder
