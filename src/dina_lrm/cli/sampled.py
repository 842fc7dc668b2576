"""What `dina-lrm sample` writes and says of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image

from dina_lrm.evaluation.bootstrap import interval_of_mean
from dina_lrm.evaluation.interval import Interval, renamed
from dina_lrm.generators.generator import Generator
from dina_lrm.reports.gallery import gallery, save_gallery
from dina_lrm.reports.records import plain
from dina_lrm.runs.files import write_json
from dina_lrm.runs.ownership import made_folder
from dina_lrm.sampling.ledger import Evaluations, UnitFlops
from dina_lrm.sampling.selection import Selection
from dina_lrm.synthetic.captions import true_values

Pixels = NDArray[np.uint8]
"""(n, height, width, 3)."""
SHOWN = 64
"""Prompts on the sheet."""


@dataclass(frozen=True)
class Sampled:
    """Chosen samples, one a prompt, beside the first sample of the same seeds."""

    chosen: tuple[Selection, ...]
    alone: tuple[Selection, ...]
    pixels: Pixels
    alone_pixels: Pixels
    units: UnitFlops
    seconds: float

    @property
    def spent(self) -> Evaluations:
        """On all prompts, the decoding of the chosen samples included."""
        return Evaluations.sum(one.spent for one in self.chosen) + Evaluations(decoder=len(self.chosen))

    @property
    def best_of_n(self) -> Evaluations:
        """What plain best-of-N would have spent."""
        candidates = sum(len(one.candidates) for one in self.chosen)
        one = Evaluations.sum(each.spent for each in self.alone)
        each = {name: count * candidates // len(self.alone) for name, count in asdict(one).items()}
        return Evaluations(**each) + Evaluations(decoder=len(self.chosen))

    def sides(self) -> dict[str, dict[str, Interval] | None]:
        """Reward and true utility of what was chosen, of the first samples, and the gain; None where it is unknown."""
        utility, alone = self._utilities()
        proxy, first = (np.array([one.score for one in side]) for side in (self.chosen, self.alone))
        return {
            "proxy": _beside(proxy, first, self.chosen),
            "true utility": None if utility is None or alone is None else _beside(utility, alone, self.chosen),
        }

    def _utilities(self) -> list[Float[np.ndarray, " prompts"] | None]:
        return [_utility(pixels, self.chosen) for pixels in (self.pixels, self.alone_pixels)]

    def facts(self) -> dict[str, object]:
        """All that was measured, as plain values."""
        utility, alone = self._utilities()
        compute = {
            "spent": asdict(self.spent),
            "flops a prompt": self.units.total(self.spent) / len(self.chosen),
            "share of best-of-n": self.units.total(self.spent) / self.units.total(self.best_of_n),
            "unit flops": asdict(self.units),
            "seconds": self.seconds,
        }
        return {
            **renamed(plain(self.sides()), {"value": "mean", "missing": None}),
            "compute": compute,
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
                    "candidates": [plain(candidate) for candidate in one.candidates],
                }
                for row, (one, other) in enumerate(zip(self.chosen, self.alone, strict=True))
            ],
        }


def pixels_of(generator: Generator, selections: Sequence[Selection]) -> Pixels:
    """The chosen samples as pictures, decoded one by one."""
    return np.concatenate([generator.pictures(one.latents) for one in selections])


def write_samples(folder: Path, sampled: Sampled, arguments: object, kind: str) -> None:
    """Write the pictures, the sheet and samples.json: all of them or none, and nothing over what somebody else made."""
    with made_folder(folder, kind) as made:
        _write_samples(made, sampled, arguments)


def _write_samples(folder: Path, sampled: Sampled, arguments: object) -> None:
    for row, image in enumerate(sampled.pixels):
        Image.fromarray(image).save(folder / _name(row))
    rows = slice(SHOWN)
    columns = {"first": sampled.alone_pixels[rows], "chosen": sampled.pixels[rows]}
    told = [one.prompt for one in sampled.chosen[rows]]
    save_gallery(gallery(columns, told, across=min(4, len(told))), folder / "sheet.png")
    facts = {"arguments": plain(arguments), **sampled.facts()}
    write_json(folder / "samples.json", plain(facts), indent=1)


def shown_lines(sampled: Sampled) -> list[str]:
    """What is said at the end."""
    lines = []
    for name, found in sampled.sides().items():
        if found is None:
            lines.append(f"{name}: unknown, no prompt is a caption of the synthetic world")
            continue
        sides = ", ".join(f"{side} {interval.text('+.3f')}" for side, interval in found.items())
        number = found["chosen"].n
        told = f"95 % intervals over {number} prompts" if number > 1 else "one prompt has no interval"
        lines.append(f"{name}: {sides}; {told}")
    spent, total = sampled.spent, sampled.units.total(sampled.spent)
    share = total / sampled.units.total(sampled.best_of_n)
    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in asdict(spent).items() if count)
    lines.append(f"evaluations: {counts}")
    lines.append(
        f"compute: {total / len(sampled.chosen) / 1e9:.2f} GFLOPs a prompt, {100 * share:.0f} % of best-of-N's; "
        f"{sampled.seconds:.1f} s"
    )
    if len(sampled.chosen) > SHOWN:
        lines.append(f"the sheet shows the first {SHOWN} of {len(sampled.chosen)} prompts")
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


def _utility(pixels: Pixels, selections: Sequence[Selection]) -> Float[np.ndarray, " prompts"] | None:
    """NaN for prompts of another world; None where all are."""
    truth = true_values(pixels, [one.prompt for one in selections])["utility"]
    return None if np.isnan(truth).all() else truth


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _name(row: int) -> str:
    return f"{row:04d}.png"
