"""Pairs of an alignment run: what the generator drew at a look, against what it drew before, of the same noise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dina_lrm.alignment.monitor.looks import SAMPLES
from dina_lrm.collecting.candidates.candidate import Candidate, Candidates
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.images import png_bytes
from dina_lrm.typed import DinaError


def candidates(settings: AnnotateSettings) -> Candidates:
    """Every later look against the first one, the newest before the others. Raises DinaError for fewer than two."""
    run = Path(settings.where)
    steps = _steps(run)
    if len(steps) < 2:
        told = f"{run}: {len(steps)} looks in {SAMPLES}"
        raise DinaError(f"{told}; accepted: a run with at least two, as `align` leaves them")
    found = Candidates(f"{run.resolve().name}, later looks against step {steps[0]}", iter(()))
    found.pairs = _pairs(run, steps, settings.seed, found)
    return found


def _steps(run: Path) -> list[int]:
    named = (re.fullmatch(r"step-(\d+)\.npz", file.name) for file in (run / SAMPLES).glob("step-*.npz"))
    return sorted(int(name[1]) for name in named if name)


def _pairs(run: Path, steps: list[int], seed: int, found: Candidates) -> Iterator[Candidate]:
    first, prompts = _look(run, steps[0])
    for step in reversed(steps[1:]):
        try:
            later, same = _look(run, step)
        except DinaError as error:
            found.leave_out(str(error), f"step {step}")
            continue
        if same != prompts or later.shape != first.shape:
            found.leave_out("a look at other prompts or sizes than the first", f"step {step}")
            continue
        rows = list(range(len(prompts)))
        Random(f"{seed}, {step}").shuffle(rows)
        for row in rows:
            yield Candidate(prompts[row], _png(first[row]), _png(later[row]), f"step {steps[0]} against step {step}")


def _look(run: Path, step: int) -> tuple[NDArray[np.uint8], list[str]]:
    path = run / SAMPLES / f"step-{step}.npz"
    try:
        with path.open("rb") as file, np.load(file) as stored:
            return stored["images"], [str(prompt) for prompt in stored["prompts"]]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DinaError(f"{path}: cannot be read ({error})") from error


def _png(picture: NDArray[np.uint8]) -> bytes:
    return png_bytes(Image.fromarray(picture))
