"""What the pages share: the field for a picture, and answers that are sections or a sentence, never a broken page."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final, ParamSpec

import gradio as gr

from dina_lrm.reports.blocks import Section
from dina_lrm.reports.first.verdicts import Verdict
from dina_lrm.reports.html import render_part
from dina_lrm.studio.bench import WorkStopped

Asked = ParamSpec("Asked")
_UPLOADED: Final = re.compile(r"\S*/[0-9a-f]{64}/")
"""The folder that Gradio puts an upload into."""
_LOG: Final = logging.getLogger("dina_lrm.studio")


def picture_field(label: str) -> gr.Image:
    """A field for a picture, which gives the file that was uploaded; whether it is one is for our own reader to say."""
    field = gr.Image(type="filepath", label=label, sources=["upload", "clipboard"], height=260)
    # Not by a subclass: Gradio writes a file of types beside the source of every one
    field.preprocess = _path_of
    return field


def _path_of(payload: Any) -> str | None:  # noqa: ANN401 - Gradio's own class of files
    """The path of the upload, None without one."""
    return None if payload is None else payload.path


def line_field(label: str, value: str = "", placeholder: str = "", scale: int | None = None) -> gr.Textbox:
    """A field for a path or a name: one line, which scrolls where it is longer than a telephone is wide."""
    return gr.Textbox(value, label=label, placeholder=placeholder, max_lines=1, scale=scale)


def answered(find: Callable[Asked, tuple[Sequence[Section], Verdict | None]], prefix: str) -> Callable[Asked, str]:
    """`answer_to` of a function for each of its arguments."""

    @wraps(find)
    def answer(*args: Asked.args, **kwargs: Asked.kwargs) -> str:
        return answer_to(lambda: find(*args, **kwargs), prefix)

    return answer


def answer_to(find: Callable[[], tuple[Sequence[Section], Verdict | None]], prefix: str) -> str:
    """The answer as HTML: sections under a verdict, or, whatever goes wrong, a sentence that says it.

    Raises WorkStopped where the work was asked to stop.
    """
    try:
        sections, verdict = find()
        return render_part(sections, prefix, verdict)
    except WorkStopped:
        raise
    except (ValueError, OSError) as error:
        return problem(str(error) or repr(error))
    except Exception as error:
        _LOG.exception("a page of the studio failed")
        return problem(f"The studio failed on this, which is its own fault: {type(error).__name__}: {error}")


def problem(sentence: str) -> str:
    """A sentence about what cannot be done, as HTML that screen readers say at once; uploads have their own names."""
    told = html.escape(_UPLOADED.sub("", sentence))
    return f'<div class="part"><p class="problem" role="alert">{told}</p></div>'


def answer_field(hint: str) -> gr.HTML:
    """Where an answer will stand; until then `hint` says what it will be."""
    waiting = f'<div class="part"><p class="waits">{html.escape(hint)}</p></div>'
    return gr.HTML(waiting, apply_default_css=False)
