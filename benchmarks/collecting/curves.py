"""Learning curves that `taught` kept, as a table and a picture: means over seeds with 95 % intervals, Student's t.

Only seeds count of which everything was measured.

    python -m benchmarks collecting curves taught.jsonl --plot taught.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.stats import t as student

from benchmarks.collecting.kept import Kept, ways_of_file

MEASURES: Final = ("overall", "within", "off")
CEILING: Final = "ceiling"
"""The way of rows that say what votes on every pair, many times, would teach."""
_SHOWN: Final = (0, 20, 50, 100, 200, 300, 500, 700)
_TITLES: Final = ("over all held-out pictures", "within prompts")
_NAMES: Final = {"random": "random pairs", "eig": "chosen pairs"}


def main(words: list[str] | None = None) -> None:
    """Print the table of a file, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="a file that `taught --out` wrote")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args(words)
    asked = ways_of_file(options.rows)
    if len(asked) != 1:
        sys.exit(f"{options.rows}: {len(asked)} ways of measuring; accepted: the rows of one")
    tell(Kept(options.rows, asked[0]), asked[0], options.plot)


def tell(kept: Kept, asked: dict[str, Any], path: Path | None) -> None:
    """Print the table of the seeds for which everything was measured, and draw it where a path says so."""
    votes = [*range(0, asked["votes"] + 1, asked["batch"])]
    ways = list(dict.fromkeys(row["way"] for row in kept.rows if row["way"] != CEILING))
    seeds = kept.seeds((*ways, CEILING))
    curves = {way: kept.of(seeds, way, "curve") for way in ways}
    found = {"votes": votes, "curves": curves, "ceiling": kept.of(seeds, CEILING, "measures")}
    print(f"seeds {', '.join(map(str, seeds))}; {asked}")
    print(table(found))
    if path is not None:
        plot(found, path)


def table(found: dict[str, Any]) -> str:
    """Means over seeds with their 95 % intervals, at some numbers of votes; and what chosen votes save."""
    votes: Sequence[int] = found["votes"]
    lines = ["| votes | way | " + " | ".join(MEASURES) + " | overall gained | within gained |", "|---|" + "---|" * 6]
    shown = [row for row, count in enumerate(votes) if count in (*_SHOWN, votes[-1])]
    for row in shown:
        for way, curves in found["curves"].items():
            values = np.array(curves)
            gained = values[:, row, :2] - values[:, 0, :2]
            cells = [interval(one) for one in [*values[:, row].T, *gained.T]]
            lines.append(f"| {votes[row]} | {way} | " + " | ".join(cells) + " |")
    lines.append("| ceiling | | " + " | ".join(interval(one) for one in np.array(found["ceiling"]).T) + " | | |")
    if {"random", "eig"} <= set(found["curves"]):
        lines += ["", *saved(found)]
    return "\n".join(lines)


def saved(found: dict[str, Any]) -> list[str]:
    """How many chosen votes reach what all random ones reach, by the means over seeds."""
    votes, lines = found["votes"], []
    for place, name in enumerate(MEASURES[:2]):
        random, eig = (np.mean(found["curves"][way], axis=0)[:, place] for way in ("random", "eig"))
        for row in (len(votes) // 3, 2 * len(votes) // 3, len(votes) - 1):
            reached = next((votes[at] for at, value in enumerate(eig) if value >= random[row]), None)
            lines.append(f"{name}: what {votes[row]} random votes reach, {reached or 'more'} chosen ones reach")
    return lines


def interval(values: Sequence[float]) -> str:
    """A mean over seeds with its interval."""
    mean, half = float(np.mean(values)), float(_half(np.asarray(values)))
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})" if len(values) > 1 else f"{mean:.3f}"


def _half(values: np.ndarray) -> np.ndarray:
    """Half the width of a 95 % interval of the mean over the first axis; 0 of one seed, of which nothing is known."""
    count = len(values)
    if count < 2:
        return np.zeros(values.shape[1:])
    return np.asarray(student.ppf(0.975, count - 1) * values.std(axis=0, ddof=1) / np.sqrt(count))


def plot(found: dict[str, Any], path: Path) -> None:
    """The learning curves: means over seeds, 95 % intervals as bands, the ceiling as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for place, axis in enumerate(figure.subplots(1, 2, sharey=True)):
        for way, curves in found["curves"].items():
            values = np.array(curves)[:, :, place]
            mean, half = values.mean(axis=0), _half(values)
            axis.plot(found["votes"], mean, label=_NAMES.get(way, way))
            axis.fill_between(found["votes"], mean - half, mean + half, alpha=0.2)
        ceiling = float(np.mean(found["ceiling"], axis=0)[place])
        axis.axhline(ceiling, linestyle=":", color="grey", label="every pair, 50 votes each")
        axis.set(xlabel="votes", title=_TITLES[place])
        axis.grid(alpha=0.3)
    figure.supylabel("rank correlation", fontsize="medium")
    axis.legend(loc="lower right")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
