"""How a CLIP's own files say that its pictures are prepared: `preprocessor_config.json`, as transformers writes it."""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from pathlib import Path
from typing import Any, Final

from dina_lrm.rewards.judges.pictures import CLIP_MEAN, CLIP_STD, Cut, MiddleCut, Preparation, Triple
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.typed import DinaError

_BICUBIC: Final = 3
_SWITCHES: Final = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")


def clip_preparation(folder: Path, cut: Cut = "floor") -> Preparation:
    """The preparation that a CLIP's folder asks for; `cut` is the rounding of the library that runs it.

    Raises ValueError where there is no such file, or where it asks for anything but the short side scaled by the
    bicubic filter, a square cut out of the middle, and a normalisation.
    """
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        raise DinaError(f"{folder}: has no {file.name}, which says how images are scaled for a CLIP")
    told = read_json_object(file)
    off = [switch for switch in _SWITCHES if told.get(switch) is False]
    if off:
        raise DinaError(f"{file}: {off[0]} is false; accepted: pictures that are scaled, cut and normalised")
    if told.get("resample", _BICUBIC) != _BICUBIC or not isclose(told.get("rescale_factor", 1 / 255), 1 / 255):
        raise DinaError(f"{file}; accepted: resample {_BICUBIC} (bicubic) and a rescale_factor of 1 / 255")
    short = _length(told, "size", "shortest_edge", file)
    side = _length(told, "crop_size", "height", file) if "crop_size" in told else short
    mean, std = (_triple(told, name, given, file) for name, given in (("mean", CLIP_MEAN), ("std", CLIP_STD)))
    return Preparation(MiddleCut(short, side, cut), mean, std)


def _length(told: Mapping[str, Any], name: str, key: str, file: Path) -> int:
    found = told.get(name)
    value = found.get(key) if isinstance(found, dict) else found
    square = not isinstance(found, dict) or found.get("width", value) == value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or not square:
        raise DinaError(f"{file}: {name} is {found!r}; accepted: a number of pixels, or {key} with one")
    return value


def _triple(told: Mapping[str, Any], name: str, given: Triple, file: Path) -> Triple:
    values = told.get(f"image_{name}", list(given))
    if not isinstance(values, list) or len(values) != 3 or not all(isinstance(each, int | float) for each in values):
        raise DinaError(f"{file}: image_{name} is {values!r}; accepted: a number for each colour")
    return float(values[0]), float(values[1]), float(values[2])
