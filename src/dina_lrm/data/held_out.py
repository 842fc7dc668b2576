"""Prompts to look at, held out of those that are trained on: by their text, so that a copy of one is held out too."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from dina_lrm.data.prompt_sets import PromptSet
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class HeldOut:
    """Prompts to train on and others to look at; `left_out` counts those that are neither, being copies of the others'
    text.
    """

    trained: PromptSet
    shown: PromptSet
    left_out: int


def same_text(prompt: str) -> str:
    """What two prompts have in common that differ in case, spaces or the form of their letters alone."""
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())


def hold_out_last(prompts: PromptSet, wanted: int) -> HeldOut:
    """Hold the last `wanted` different texts out; ValueError where fewer than as many are left to train on."""
    texts = [same_text(prompt) for prompt in prompts.prompts]
    last = list(dict.fromkeys(reversed(texts)))[:wanted]
    if len(set(texts)) < 2 * wanted:
        raise DinaError(f"{len(set(texts))} different prompts, of which {wanted} are held back; accepted: {2 * wanted}")
    rows = sorted(len(texts) - 1 - texts[::-1].index(text) for text in last)
    return without(prompts, prompts.take(rows), len(rows))


def without(prompts: PromptSet, shown: PromptSet, own: int = 0) -> HeldOut:
    """The prompts whose text is none of those `shown`, of which `own` are among the prompts themselves."""
    held = {same_text(prompt) for prompt in shown.prompts}
    rows = [row for row, prompt in enumerate(prompts.prompts) if same_text(prompt) not in held]
    return HeldOut(prompts.take(rows), shown, len(prompts.prompts) - len(rows) - own)
