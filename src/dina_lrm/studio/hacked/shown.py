"""A finding about hacking as sections of a page; its verdict stands above them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure as Plot
from matplotlib.ticker import FuncFormatter

from dina_lrm.pictures.spectrum import FREQUENCIES
from dina_lrm.reports.axes import legend_above
from dina_lrm.reports.blocks import Block, Figure, ImageGrid, ImageRow, Picture, Section, Text, as_written
from dina_lrm.reports.drawing import drawing
from dina_lrm.reports.generators import measures_table, verdicts, wins_table
from dina_lrm.reports.plots import win_plot
from dina_lrm.reports.theme import ADAPTIVE, Theme
from dina_lrm.screen import number_text
from dina_lrm.studio.hacked.finding import HackingFinding
from dina_lrm.studio.hacked.sides import Sides


def hacking_sections(found: HackingFinding) -> list[Section]:
    """Evidence, who wins, the most suspicious pictures, textures, and what was left out."""
    sections = [Section("Evidence", [Text("\n".join(f"- {line}" for line in _evidence(found)))]), *_wins(found)]
    sections.append(Section("Most suspicious pictures", list(_suspicious(found))))
    caption = (
        "Power by fineness: coarse at the left, single pixels at the right. A bump that the base does not have is a "
        "regular texture; a line that sinks at the right is blur."
    )
    texture = Section("Texture spectrum", [Figure(draw_spectra(found.sides), caption), measures_table(found.result)])
    sections.append(texture)
    if found.sides.notes:
        notes = Text("\n".join(f"- {as_written(note)}" for note in found.sides.notes))
        sections.append(Section("What was left out", [notes]))
    return sections


def _evidence(found: HackingFinding) -> Iterator[str]:
    yield from (as_written(line) for line in verdicts(found.result))
    yield from (as_written(f"{one.told()}.") for one in found.symptoms)
    if not found.symptoms:
        yield "No symptom: texture, edges, colours and variety moved by less than their error, or than is worth a word."
    optimised = found.sides.optimised
    if optimised is None:
        yield "It is not known what was optimised: every judge counts alike."
    yield f"{len(found.sides.names):,} pairs; intervals are 95 %, over {found.sides.drawn:,} prompts or single pairs."


def _wins(found: HackingFinding) -> Iterator[Section]:
    known = [each for each in found.result.of_kind("reward", "truth") if each.win_rate and each.win_rate.n]
    blocks: list[Block] = []
    if known:
        blocks.append(Figure(win_plot(known), "Share of pairs that the second side wins. Dotted: a tie."))
    if found.result.of_kind("reward", "truth"):
        blocks.append(wins_table(found.result))
    if blocks:
        yield Section("Who wins", blocks)


def _suspicious(found: HackingFinding) -> Iterator[Block]:
    suspected = found.suspects
    if not suspected.pairs:
        yield Text("None: no judge came to like a picture that the others did not, or there is one judge alone.")
        return
    assert suspected.proxy is not None
    yield Text(
        f"Pictures that {as_written(suspected.proxy)} came to like more than the other judges did, in spreads of the "
        "base; a rise of regular texture counts too."
    )
    rows = []
    for one in suspected.pairs:
        base, tuned = found.sides.pictures(one.pair)
        rises = [f"{name} {number_text(rise, '+.1f')}" for name, rise in one.rises.items()]
        pictures = [Picture(base, "before"), Picture(tuned, "\n".join(["after", *rises]), "bad")]
        rows.append(ImageRow(found.sides.prompts[one.pair], pictures, f"suspicion {one.suspicion:.1f}"))
    yield ImageGrid(rows, columns=2, frames={"bad": "suspicious"})


def draw_spectra(sides: Sides, theme: Theme = ADAPTIVE) -> Plot:
    """The mean power of both sides over the frequency; rings without power are gaps."""
    with drawing(theme):
        figure = Plot(figsize=(4.8, 2.7))
        axes = figure.subplots()
        axes.set_title("Texture spectrum")
        axes.set_xlabel("cycles a pixel")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda power, _: f"{power:.0e}"))
        for number, (name, spectrum) in enumerate(zip(("before", "after"), sides.spectra, strict=True)):
            power = np.where(spectrum.power > 0, spectrum.power, np.nan)
            axes.plot(FREQUENCIES, power, color=theme.colour(number), marker="os"[number], markersize=4, label=name)
        legend_above(figure, axes)
        return figure
