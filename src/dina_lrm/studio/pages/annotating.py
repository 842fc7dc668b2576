"""The page "Annotate": the page of `dina-lrm annotate` itself, on what the studio was told to ask about."""

from __future__ import annotations

from typing import Final

import gradio as gr

from dina_lrm.studio.room import Room

VOTING: Final = "voting"
"""Where in the studio the page of votes is."""
_FRAME: Final = (
    f'<iframe src="/{VOTING}/" title="Which picture is better?" '
    'style="width: 100%; height: 85vh; min-height: 32rem; border: 0; border-radius: 8px"></iframe>'
)
_NOTHING: Final = (
    "Nothing is asked here yet. Start the studio with a folder of pictures, or what else `dina-lrm annotate` takes:\n\n"
    "```\ndina-lrm studio --annotate FOLDER --votes votes.sqlite\n```\n\n"
    "Then `dina-lrm train synthetic --data votes.sqlite --out runs/taste` learns from the votes."
)


def annotating_page(room: Room) -> None:
    """Add the page to the tab that is open, or how it is asked for."""
    if room.collection is None:
        gr.Markdown(_NOTHING)
    else:
        gr.Markdown(f"Votes go to `{room.collection.settings.out}`; every one is saved at once.")
        gr.HTML(_FRAME)
