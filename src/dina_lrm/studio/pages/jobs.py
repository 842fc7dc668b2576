"""Works that take long: a button that begins one and one that stops it, and how it goes on in between."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Concatenate, Final, ParamSpec

import gradio as gr

from dina_lrm.live.words import time_text
from dina_lrm.reports.blocks import Section
from dina_lrm.reports.first.verdicts import Verdict
from dina_lrm.runs.progress import TitledProgress
from dina_lrm.studio.bench import Bench, Work, WorkStopped, WorkTold
from dina_lrm.studio.pages.parts import answer_to, problem
from dina_lrm.typed import DinaError

Asked = ParamSpec("Asked")
Find = Callable[Concatenate[TitledProgress, Asked], tuple[Sequence[Section], Verdict | None]]
"""Finds an answer from the fields of a page, and reports to its first argument, through which it is stopped."""
_LOOKS: Final = 0.2
"""Seconds between looks at a work that goes on."""


def job_buttons(name: str) -> tuple[gr.Button, gr.Button]:
    """The button that begins a work and is called as it is, and the one that stops it, there while it goes on."""
    with gr.Row():
        return gr.Button(name, variant="primary", scale=3), gr.Button("Stop", variant="stop", visible=False, scale=1)


def job(
    bench: Bench,
    find: Find[...],
    prefix: str,
    fields: Sequence[Any],
    begins: Sequence[Any],
    buttons: tuple[gr.Button, gr.Button],
    shown: gr.HTML,
) -> None:
    """Let the events `begins` do a work on the bench, and `shown` say how it goes on and what was found.

    While it goes on the same page begins no other one; a page that is closed stops its own.
    """
    go, stop = buttons

    async def do(request: gr.Request, *given: Any) -> AsyncIterator[tuple[Any, Any]]:  # noqa: ANN401 - values of fields
        def task(work: Work[str]) -> str:
            return answer_to(partial(find, work.part, *given), prefix)

        try:
            work = bench.begin(str(go.value), task, (request.session_hash, prefix))
        except DinaError as refused:
            yield problem(str(refused)), gr.skip()
            return
        try:
            before = ""
            yield _going_on(bench, work), gr.Button(visible=True)
            while not work.ended:
                await asyncio.sleep(_LOOKS)
                now = _going_on(bench, work)
                if now != before and not work.ended:
                    yield now, gr.skip()
                before = now
            yield _ended(work), gr.Button(visible=False)
        finally:  # whoever looked is gone
            work.stop()

    def end(request: gr.Request) -> None:
        bench.stop(lambda owner: owner == (request.session_hash, prefix))

    hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
    gr.on(begins, do, fields, [shown, stop], trigger_mode="once", **hidden)
    stop.click(end, None, None, queue=False, **hidden)


def stop_with_page(bench: Bench) -> Callable[[gr.Request], None]:
    """What is done when a page is closed: its works are stopped, as nobody would see what they find."""

    def gone(request: gr.Request) -> None:
        bench.stop(lambda owner: isinstance(owner, tuple) and owner[0] == request.session_hash)

    return gone


def _going_on(bench: Bench, work: Work[str]) -> str:
    """How a work stands, as HTML: what goes on in words, a bar, and what was done before."""
    told, before = work.told(), bench.before(work)
    if told.stopping:
        return _bar("Stops after the step that goes on now.", told)
    if before:
        first = before[0].told().now
        where = f" ({first})" if first is not None else ""
        others = f", and {len(before) - 1} more" if len(before) > 1 else ""
        sentence = f"Waits: “{before[0].name}” goes on{where}{others}. One work is done at a time."
        return f'<div class="part work"><p>{html.escape(sentence)}</p></div>'
    now = told.now
    return _bar("Reads what is needed." if now is None else f"{str(now)[:1].upper()}{str(now)[1:]}.", told)


def _bar(sentence: str, told: WorkTold) -> str:
    now = told.now
    share = f'value="{now.done}" max="{now.total}"' if now is not None and now.total else ""
    earlier = "; ".join(map(str, told.parts[:-1]))
    small = " · ".join(filter(None, (time_text(told.seconds), earlier)))
    return (
        f'<div class="part work"><p>{html.escape(sentence)}</p><progress aria-label="How far it is" {share}></progress>'
        f'<p class="waits">{html.escape(small)}</p></div>'
    )


def _ended(work: Work[str]) -> str:
    try:
        return work.outcome()
    except WorkStopped:
        return problem(f"Stopped. Done until then: {work.told().done}. Nothing was concluded from it.")
