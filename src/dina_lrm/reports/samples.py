"""The files of samples that a reward chose: pictures, a sheet of them, and all that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float
from PIL import Image

from dina_lrm.evaluation.bootstrap import interval_of_mean
from dina_lrm.evaluation.interval import Interval, renamed
from dina_lrm.reports.gallery import gallery, save_gallery
from dina_lrm.reports.records import plain
from dina_lrm.runs.files import write_json
from dina_lrm.runs.ownership import made_folder
from dina_lrm.sampling.job import Pixels, Sampled
from dina_lrm.sampling.selection import Selection
from dina_lrm.synthetic.captions import true_values

KIND: Final = "folder of samples"
"""What the marker of such a folder says."""
FACTS: Final = "samples.json"
SHEET: Final = "sheet.png"
SHOWN: Final = 64
"""Prompts on the sheet."""


def write_samples(folder: Path, sampled: Sampled, about: Mapping[str, object] | None = None) -> None:
    """Write pictures, sheet and samples.json as `folder`; samples.json begins with what `about` holds.

    All of them or none. Raises NotReplaceableError for a folder that holds anything but earlier samples.
    """
    with made_folder(folder, KIND) as made:
        for row, image in enumerate(sampled.pixels):
            Image.fromarray(image).save(made / _name(row))
        rows = slice(SHOWN)
        columns = {"first": sampled.alone_pixels[rows], "chosen": sampled.pixels[rows]}
        told = [one.prompt for one in sampled.chosen[rows]]
        save_gallery(gallery(columns, told, across=min(4, len(told))), made / SHEET)
        write_json(made / FACTS, plain({**(about or {}), **sample_facts(sampled)}), indent=1)


def measured(sampled: Sampled) -> dict[str, dict[str, Interval] | None]:
    """Reward and true utility of what was chosen, of the first samples, and the gain; None where it is unknown."""
    utility, alone = _utilities(sampled)
    proxy, first = (np.array([one.score for one in side]) for side in (sampled.chosen, sampled.alone))
    return {
        "proxy": _beside(proxy, first, sampled.chosen),
        "true utility": None if utility is None or alone is None else _beside(utility, alone, sampled.chosen),
    }


def sample_facts(sampled: Sampled) -> dict[str, object]:
    """All that was measured, as plain values: reward and true utility, what was computed, and every candidate."""
    utility, alone = _utilities(sampled)
    return {
        **renamed(plain(measured(sampled)), {"value": "mean", "missing": None}),
        "compute": {
            "spent": asdict(sampled.spent),
            "flops a prompt": sampled.units.total(sampled.spent) / len(sampled.chosen),
            "share of best-of-n": sampled.share,
            "unit flops": asdict(sampled.units),
            "seconds": sampled.seconds,
        },
        "samples": [
            {
                "image": _name(row),
                "prompt": one.prompt,
                "seed": one.candidates[one.chosen].seed,
                "chosen": one.chosen,
                "score": one.score,
                "first score": other.score,
                "true utility": None if utility is None else _known(utility[row]),
                "first true utility": None if alone is None else _known(alone[row]),
                "candidates": plain(one.candidates),
            }
            for row, (one, other) in enumerate(zip(sampled.chosen, sampled.alone, strict=True))
        ],
    }


def sample_lines(sampled: Sampled) -> list[str]:
    """What was measured, as lines for a terminal."""
    return [*_measured_lines(measured(sampled)), *_compute_lines(sampled)]


def _measured_lines(sides: Mapping[str, Mapping[str, Interval] | None]) -> list[str]:
    lines = []
    for name, found in sides.items():
        if found is None:
            lines.append(f"{name}: unknown, no prompt is a caption of the synthetic world")
            continue
        told = ", ".join(f"{side} {interval.text('+.3f')}" for side, interval in found.items())
        number = found["chosen"].n
        over = f"95 % intervals over {number} prompts" if number > 1 else "one prompt has no interval"
        lines.append(f"{name}: {told}; {over}")
    return lines


def _compute_lines(sampled: Sampled) -> list[str]:
    spent, total, prompts = sampled.spent, sampled.units.total(sampled.spent), len(sampled.chosen)
    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in asdict(spent).items() if count)
    lines = [
        f"evaluations: {counts}",
        f"compute: {total / prompts / 1e9:.2f} GFLOPs a prompt, {100 * sampled.share:.0f} % of best-of-N's; "
        f"{sampled.seconds:.1f} s",
    ]
    if prompts > SHOWN:
        lines.append(f"the sheet shows the first {SHOWN} of {prompts} prompts")
    return lines


def _beside(
    chosen: Float[np.ndarray, " prompts"], alone: Float[np.ndarray, " prompts"], selections: Sequence[Selection]
) -> dict[str, Interval]:
    return {
        "chosen": _mean(chosen, selections),
        "first": _mean(alone, selections),
        "gain": _mean(chosen - alone, selections),
    }


def _mean(values: Float[np.ndarray, " prompts"], selections: Sequence[Selection]) -> Interval:
    """Over prompts; equal ones are drawn together."""
    _, clusters = np.unique([one.prompt for one in selections], return_inverse=True)
    return interval_of_mean(values, clusters)


def _utilities(sampled: Sampled) -> list[Float[np.ndarray, " prompts"] | None]:
    return [_utility(pixels, sampled.chosen) for pixels in (sampled.pixels, sampled.alone_pixels)]


def _utility(pixels: Pixels, selections: Sequence[Selection]) -> Float[np.ndarray, " prompts"] | None:
    """NaN for prompts of another world; None where all are."""
    truth = true_values(pixels, [one.prompt for one in selections])["utility"]
    return None if np.isnan(truth).all() else truth


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _name(row: int) -> str:
    return f"{row:04d}.png"
