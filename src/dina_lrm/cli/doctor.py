"""`dina-lrm doctor`: what is installed, what the hardware prefers, and whether the bundled model scores right."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from dina_lrm import __version__
from dina_lrm.cli.common import CommandFailed, CommonArguments, UserError, console
from dina_lrm.screen import Screen

if TYPE_CHECKING:
    import torch

LIBRARIES = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors", "huggingface_hub", "numpy")


@dataclass
class Arguments(CommonArguments):
    """Show versions, devices and what each extra lacks; score two bundled pairs against golden numbers.

    Example:
        dina-lrm doctor --json doctor.json
    """


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
            raise UserError(f"golden numbers: got {counts}, expected as many of each, at least one")


def run(arguments: Arguments) -> dict[str, object]:
    """Print the report; raises CommandFailed when the bundled model is absent or scores otherwise than it should."""
    from dina_lrm.locate import BUNDLED

    screen = console(arguments.quiet)
    found = _show_installation(screen)
    bundled = BUNDLED["synthetic"]
    golden_file = bundled["reward_model"].with_name("golden.json")
    absent = [str(path) for path in (*bundled.values(), golden_file) if not path.exists()]
    if absent:
        raise CommandFailed(f"the bundled world is not complete, missing: {', '.join(absent)}", found)
    golden = read_golden(golden_file)
    scores = score_golden(golden, golden_file.parent)
    worst = largest_difference(scores, golden.scores)
    found["bundled"] = {"scores": scores, "golden": golden.scores, "largest_difference": worst}
    if worst > golden.tolerance:
        text = f"the bundled model scores {scores}, expected {golden.scores} to {golden.tolerance:g}"
        raise CommandFailed(f"{text}; a library of this installation computes something else", found)
    screen.print(f"bundled model: {len(scores)} golden scores met to {worst:.1e} (tolerance {golden.tolerance:g})")
    return found


def _show_installation(screen: Screen) -> dict[str, object]:
    libraries, places, extras = versions(), devices(), missing_of_extras()
    screen.print(f"dina-lrm {__version__} on Python {platform.python_version()}, {platform.platform()}")
    screen.print("  ".join(f"{name} {version or 'missing'}" for name, version in libraries.items()))
    for place in places:
        screen.print(f"{place.device}: {place.name}; {place.dtype}, because {place.why}")
    for extra, missing in extras.items():
        screen.print(f"extra {extra}: {'lacks ' + ', '.join(missing) if missing else 'complete'}")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": libraries,
        "devices": [asdict(place) for place in places],
        "extras": extras,
        "bundled": None,
    }


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
    import torch

    places = [(torch.device("cpu"), f"{platform.machine()}, {torch.get_num_threads()} threads")]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        places.append((torch.device("cuda", index), f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"))
    if torch.backends.mps.is_available():
        places.append((torch.device("mps"), "Apple GPU"))
    return [_device(place, name) for place, name in places]


def _device(place: torch.device, name: str) -> Device:
    import torch

    from dina_lrm.precision import preferred_dtype

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


def read_golden(path: Path) -> Golden:
    """The golden numbers stored beside the bundled weights."""
    return Golden(**json.loads(path.read_text(encoding="utf-8")))


def score_golden(golden: Golden, folder: Path) -> list[float]:
    """Scores of the golden images in `folder` by the bundled reward model."""
    import torch

    from dina_lrm.reward_model.model import LatentRewardModel

    model = LatentRewardModel.from_pretrained("synthetic", device="cpu", dtype=torch.float32)
    scores = model.score([folder / name for name in golden.images], golden.prompts)
    return [float(score) for score in scores]


def largest_difference(scores: Sequence[float], expected: Sequence[float]) -> float:
    """Largest absolute difference of two lists of the same length; not a number counts as infinite."""
    worst = max(abs(a - b) for a, b in zip(scores, expected, strict=True))
    return worst if math.isfinite(worst) and all(map(math.isfinite, scores)) else math.inf
