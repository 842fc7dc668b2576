"""The page "A run, live": the folder of a run, looked at again and again while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import gradio as gr

from dina_lrm.reports.blocks import Section
from dina_lrm.reports.first.verdicts import Verdict
from dina_lrm.studio.pages.parts import answer_field, answered, line_field
from dina_lrm.studio.room import Room
from dina_lrm.studio.watching import Stamp, run_sections, stamp_of
from dina_lrm.typed import DinaError

_EVERY: Final = 3.0
"""Seconds between looks at the files; the page is drawn anew only where they have changed."""


def watching_page(_: Room) -> None:
    """Add the fields and what follows from them to the tab that is open."""

    def found(folder: str) -> tuple[Sequence[Section], Verdict]:
        if not folder.strip():
            raise DinaError("run: no folder was given; accepted: the folder of a run on the studio's machine")
        return run_sections(_path(folder))

    draw = answered(found, "run")

    def watch(folder: str) -> tuple[str, Stamp | None, Any]:
        return draw(folder), stamp_of(_path(folder)) if folder.strip() else None, gr.Timer(active=bool(folder.strip()))

    def look(folder: str, before: Stamp | None) -> tuple[Any, Any]:
        now = stamp_of(_path(folder))
        return (gr.skip(), gr.skip()) if now == before else (draw(folder), now)

    with gr.Row():
        folder = line_field("Folder of a run", placeholder="runs/refl", scale=4)
        go = gr.Button("Watch", variant="primary", scale=1)
    shown = answer_field(f"Curves, pictures and alarms, looked for anew every {_EVERY:g} seconds.")
    seen, timer = gr.State(None), gr.Timer(_EVERY, active=False)
    for event in (go.click, folder.submit):
        event(watch, folder, [shown, seen, timer], api_visibility="private")
    timer.tick(look, [folder, seen], [shown, seen], show_progress="hidden", api_visibility="private")


def _path(folder: str) -> Path:
    return Path(folder.strip()).expanduser()
