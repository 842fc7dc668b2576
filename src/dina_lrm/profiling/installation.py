"""The installation: versions, what the hardware prefers, and whether the bundled model scores as it should."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import torch
from packaging.requirements import Requirement

from dina_lrm import __version__
from dina_lrm.locate import BUNDLED
from dina_lrm.precision import preferred_dtype
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.screen import bytes_text
from dina_lrm.typed import DinaError

LIBRARIES: Final = (
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "accelerate",
    "safetensors",
    "huggingface_hub",
    "numpy",
)


@dataclass(frozen=True)
class Device:
    """A place to compute, and the precision that is fast there."""

    device: str
    name: str
    dtype: str
    why: str


@dataclass(frozen=True)
class Golden:
    """Scores that the bundled reward model must give, in float32 on a CPU, to an absolute `tolerance`."""

    prompts: list[str]
    images: list[str]
    scores: list[float]
    tolerance: float

    def __post_init__(self) -> None:
        if not len(self.prompts) == len(self.images) == len(self.scores) > 0:
            counts = f"{len(self.prompts)} prompts, {len(self.images)} images and {len(self.scores)} scores"
            raise DinaError(f"golden numbers: got {counts}, expected as many of each, at least one")


@dataclass(frozen=True)
class Installation:
    """What is installed here: versions of libraries, places to compute, and what each extra lacks."""

    versions: dict[str, str | None]
    devices: list[Device]
    extras: dict[str, list[str]]

    def lines(self) -> Iterator[str]:
        """What a person is told, line by line."""
        yield f"dina-lrm {__version__} on Python {platform.python_version()}, {platform.platform()}"
        yield "  ".join(f"{name} {version or 'missing'}" for name, version in self.versions.items())
        for place in self.devices:
            yield f"{place.device}: {place.name}; {place.dtype}, because {place.why}"
        for extra, missing in self.extras.items():
            yield f"extra {extra}: {'lacks ' + ', '.join(missing) if missing else 'complete'}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with a place for what the bundled model scores."""
        here = {"python": platform.python_version(), "platform": platform.platform()}
        return {**here, **asdict(self), "bundled": None}


def installation() -> Installation:
    """What is installed here."""
    return Installation(versions(), devices(), missing_of_extras())


def versions() -> dict[str, str | None]:
    """Installed version of each library that computes or stores; None when it is missing."""
    return {name: _version(name) for name in LIBRARIES}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def devices() -> list[Device]:
    """The CPU and every accelerator that torch sees."""
    places = [(torch.device("cpu"), f"{platform.machine()}, {torch.get_num_threads()} threads")]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        places.append((torch.device("cuda", index), f"{properties.name}, {bytes_text(properties.total_memory)}"))
    if torch.backends.mps.is_available():
        places.append((torch.device("mps"), "Apple GPU"))
    return [_device(place, name) for place, name in places]


def _device(place: torch.device, name: str) -> Device:
    dtype = preferred_dtype(place)
    native = "it multiplies bfloat16 natively"
    why = native if dtype == torch.bfloat16 else "it has no native bfloat16 product, and an emulated one is slower"
    return Device(str(place), name, str(dtype).removeprefix("torch."), why)


def missing_of_extras() -> dict[str, list[str]]:
    """What each extra of this package still lacks, as requirements; empty in a bare source tree."""
    try:
        extras = metadata.metadata("dina-lrm").get_all("Provides-Extra") or []
        requirements = [Requirement(line) for line in metadata.requires("dina-lrm") or []]
    except metadata.PackageNotFoundError:
        return {}
    return {extra: [f"{r.name}{r.specifier}" for r in requirements if _lacks(r, extra)] for extra in extras}


def _lacks(requirement: Requirement, extra: str) -> bool:
    if requirement.marker is None or not requirement.marker.evaluate({"extra": extra}):
        return False
    installed = _version(requirement.name)
    return installed is None or not requirement.specifier.contains(installed, prereleases=True)


@dataclass(frozen=True)
class GoldenCheck:
    """What the bundled reward model scores here, and how far that is from what it should."""

    scores: list[float]
    golden: list[float]
    largest_difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every score is met."""
        return self.largest_difference <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """The scores, those that they should be, and their largest difference."""
        return {"scores": self.scores, "golden": self.golden, "largest_difference": self.largest_difference}


def missing_files() -> list[str]:
    """The files of the bundled world that this installation lacks; none where it is whole."""
    return [str(path) for path in (*BUNDLED["synthetic"].values(), _golden_file()) if not path.exists()]


def check_golden() -> GoldenCheck:
    """Score the golden pictures with the bundled reward model, in float32 on the CPU."""
    file = _golden_file()
    golden = read_golden(file)
    scores = score_golden(golden, file.parent)
    return GoldenCheck(scores, golden.scores, largest_difference(scores, golden.scores), golden.tolerance)


def _golden_file() -> Path:
    return BUNDLED["synthetic"]["reward_model"].with_name("golden.json")


def read_golden(path: Path) -> Golden:
    """The golden numbers stored beside the bundled weights."""
    return Golden(**json.loads(path.read_text(encoding="utf-8")))


def score_golden(golden: Golden, folder: Path) -> list[float]:
    """Scores of the golden images in `folder` by the bundled reward model."""
    model = LatentRewardModel.from_pretrained("synthetic", device="cpu", dtype=torch.float32)
    scores = model.score([folder / name for name in golden.images], golden.prompts)
    return [float(score) for score in scores]


def largest_difference(scores: Sequence[float], expected: Sequence[float]) -> float:
    """Largest absolute difference of two lists of the same length; not a number counts as infinite."""
    worst = max(abs(a - b) for a, b in zip(scores, expected, strict=True))
    return worst if math.isfinite(worst) and all(map(math.isfinite, scores)) else math.inf
