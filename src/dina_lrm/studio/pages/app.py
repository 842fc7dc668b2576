"""All pages of the studio, one tab each."""

from __future__ import annotations

import gradio as gr

from dina_lrm.studio.pages.annotating import annotating_page
from dina_lrm.studio.pages.hacked import hacked_page
from dina_lrm.studio.pages.jobs import stop_with_page
from dina_lrm.studio.pages.surprising import surprising_page
from dina_lrm.studio.pages.watching import watching_page
from dina_lrm.studio.pages.why import why_page
from dina_lrm.studio.room import Room

_ADDED = {
    "Why this score": why_page,
    "Am I being hacked": hacked_page,
    "Surprising pairs": surprising_page,
    "A run, live": watching_page,
    "Annotate": annotating_page,
}
"""Each tab, and the function that fills it."""


def studio_pages(room: Room) -> gr.Blocks:
    """The pages over a model, in the order of their tabs."""
    with gr.Blocks(title="DiNa-LRM studio", analytics_enabled=False, delete_cache=(3600, 3600)) as pages:
        gr.Markdown(f"# DiNa-LRM studio\nReward model: `{room.name}`, on {room.model.device}")
        for title, add in _ADDED.items():
            with gr.Tab(title):
                add(room)
        pages.unload(stop_with_page(room.bench))
    return pages
