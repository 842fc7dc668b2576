"""The page "Surprising pairs": where the model is certain and the label says the opposite."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from dina_lrm.reports.blocks import Section
from dina_lrm.reports.first.verdicts import Verdict
from dina_lrm.runs.progress import TitledProgress
from dina_lrm.studio.pages.jobs import job, job_buttons
from dina_lrm.studio.pages.parts import answer_field, line_field
from dina_lrm.studio.room import Room
from dina_lrm.studio.surprising import MOST_PAIRS, surprising_pairs
from dina_lrm.typed import DinaError


def surprising_page(room: Room) -> None:
    """Add the fields and what follows from them to the tab that is open."""

    def found(progress: TitledProgress, on: str, pairs: float) -> tuple[Sequence[Section], Verdict]:
        if not on.strip():
            raise DinaError("set: none was given; accepted: synthetic:in_domain, a file of comparisons, or a cache")
        return surprising_pairs(room.model, room.name, on.strip(), int(pairs), progress=progress)

    with gr.Row():
        on = line_field("Comparisons: synthetic:SET, a file, or the folder of a cache", "synthetic:in_domain")
        pairs = gr.Slider(10, MOST_PAIRS, 200, step=10, label="Pairs at most")
    buttons = job_buttons("Find surprises")
    shown = answer_field("The pairs in which the model is most certain, and people chose the other picture.")
    job(room.bench, found, "surprising", [on, pairs], [buttons[0].click, on.submit], buttons, shown)
