"""The page "Why this score": a picture, a prompt, and what the score depends on."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from dina_lrm.reports.blocks import Section
from dina_lrm.runs.progress import TitledProgress
from dina_lrm.studio.pages.jobs import job, job_buttons
from dina_lrm.studio.pages.parts import answer_field, picture_field
from dina_lrm.studio.room import Room
from dina_lrm.studio.why.explanation import explain
from dina_lrm.studio.why.given import Reading
from dina_lrm.studio.why.shown import explanation_sections
from dina_lrm.typed import DinaError


def why_page(room: Room) -> None:
    """Add the fields and what follows from them to the tab that is open."""

    def found(
        progress: TitledProgress,
        picture: str | None,
        prompt: str,
        reference: str | None,
        level: float,
        draws: float,
        score: str | None,
    ) -> tuple[Sequence[Section], None]:
        if picture is None:
            raise DinaError("picture: none was given; accepted: an image file, uploaded or pasted")
        reading = Reading(float(level), int(draws))
        return explanation_sections(explain(room.model_of(score), picture, prompt, reference, reading, progress)), None

    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            picture = picture_field("Picture")
            prompt = gr.Textbox(label="Prompt", lines=2, placeholder="What the picture was made for")
            names = room.score_names
            score = gr.Dropdown(
                [*names], value=names[0] if names else None, label="Which of its scores", visible=bool(names)
            )
            buttons = job_buttons("Explain")
            with gr.Accordion("Reference, noise", open=False):
                reference = picture_field("Reference picture, for the same prompt")
                own = room.model.config.noise_level
                level = gr.Slider(0, 1, own, step=0.05, label="Noise level at which it is read")
                draws = gr.Slider(1, 32, 8, step=1, label="Draws of noise")
        with gr.Column(scale=2, min_width=320):
            shown = answer_field("The score, where on the picture it lies, and what each word does.")
    fields = [picture, prompt, reference, level, draws, score]
    job(room.bench, found, "why", fields, [buttons[0].click, prompt.submit], buttons, shown)
