"""The page "Am I being hacked": two folders, or a generator and what it was tuned to."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import gradio as gr

from dina_lrm.evaluation.generators.plan import GeneratorPlan
from dina_lrm.reports.blocks import Section
from dina_lrm.reports.first.verdicts import Verdict
from dina_lrm.runs.progress import TitledProgress
from dina_lrm.studio.hacked.finding import hacking_of
from dina_lrm.studio.hacked.of_folders import folder_pairs, sides_of_folders
from dina_lrm.studio.hacked.of_generators import base_of, sides_of_generators
from dina_lrm.studio.hacked.shown import hacking_sections
from dina_lrm.studio.hacked.sides import Sides
from dina_lrm.studio.pages.jobs import job, job_buttons
from dina_lrm.studio.pages.parts import answer_field, line_field
from dina_lrm.studio.room import Room
from dina_lrm.synthetic.prompts import judged_prompts
from dina_lrm.typed import DinaError

_UNKNOWN: Final = "not known"
Answer = tuple[Sequence[Section], Verdict | None]


def hacked_page(room: Room) -> None:
    """Add the fields and what follows from them to the tab that is open."""

    def of_folders(progress: TitledProgress, before: str, after: str, prompt: str, optimised: str) -> Answer:
        pairs = folder_pairs(_folder("before", before), _folder("after", after), prompt.strip() or "a picture")
        told = None if optimised == _UNKNOWN else [optimised]
        with progress("pairs judged") as report:
            sides = sides_of_folders(pairs, room.rewards(), (before, after), told, report)
        return _answer(sides, progress)

    def of_generators(
        progress: TitledProgress, base: str, tuned: str, prompts: str, count: float, images: float
    ) -> Answer:
        after = tuned.strip()
        if not after:
            raise DinaError("tuned generator: none was given; accepted: the folder of a run, a LoRA, another generator")
        judged = judged_prompts(prompts.strip() or "synthetic", 0, int(count))
        plan = GeneratorPlan(
            base.strip() or base_of(after), after, judged, room.reward_names, int(images), device=room.device
        )
        with tempfile.TemporaryDirectory() as kept:
            return _answer(sides_of_generators(plan, Path(kept), progress), progress)

    shown_first = "A verdict in words, and the evidence: who wins, what changed, the most suspicious pictures."
    with gr.Tab("Two folders"):
        with gr.Row():
            before = line_field("Folder of pictures before", placeholder="runs/base/pictures")
            after = line_field("Folder of pictures after, of the same names", placeholder="runs/tuned/pictures")
        with gr.Row():
            prompt = line_field("Prompt of pictures without a caption", placeholder="a picture")
            optimised = gr.Dropdown([_UNKNOWN, *room.reward_names], value=_UNKNOWN, label="What was optimised")
        buttons = job_buttons("Compare folders")
        shown = answer_field(shown_first)
        fields = [before, after, prompt, optimised]
        begins = [buttons[0].click, before.submit, after.submit, prompt.submit]
        job(room.bench, of_folders, "folders", fields, begins, buttons, shown)
    with gr.Tab("A base and a LoRA"):
        with gr.Row():
            base = line_field("Base generator", placeholder="that of the run")
            tuned = line_field("Run, LoRA or other generator", placeholder="runs/refl")
        with gr.Row():
            prompts = line_field("Prompts: synthetic, or a file", "synthetic")
            count = gr.Slider(2, 256, 32, step=1, label="Prompts")
            images = gr.Slider(1, 8, 2, step=1, label="Pictures a prompt")
        buttons = job_buttons("Draw and compare")
        drawn = answer_field(shown_first)
        begins = [buttons[0].click, base.submit, tuned.submit, prompts.submit]
        job(room.bench, of_generators, "drawn", [base, tuned, prompts, count, images], begins, buttons, drawn)


def _answer(sides: Sides, progress: TitledProgress) -> Answer:
    with progress("both sides compared"):
        finding = hacking_of(sides)
        return hacking_sections(finding), finding.verdict


def _folder(which: str, given: str) -> Path:
    if not given.strip():
        raise DinaError(f"folder {which}: none was given; accepted: the path of a folder on the studio's machine")
    return Path(given.strip()).expanduser()
