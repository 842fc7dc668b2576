"""An explanation as sections of a page."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dina_lrm.reports.blocks import (
    Block,
    Cell,
    Figure,
    Folded,
    Headline,
    Headlines,
    ImageGrid,
    ImageRow,
    Picture,
    Section,
    Table,
    Text,
    as_written,
)
from dina_lrm.screen import number_text
from dina_lrm.studio.why.explanation import Explanation
from dina_lrm.studio.why.levels import draw_levels
from dina_lrm.studio.why.overlay import laid_over
from dina_lrm.studio.why.words import MOST_WORDS, EditEffect, NotRead


def explanation_sections(found: Explanation) -> list[Section]:
    """The score, where it lies, what each word does, what was not read, and the score over noise levels."""
    sections = [
        Section("The score", [_headlines(found), *_named(found), *_notes(found)]),
        Section("Where it lies", [_maps(found)]),
        Section("What each word does", list(_words(found))),
    ]
    if found.not_read.cut or found.not_read.unread:
        sections.append(Section("What was not read", [Text(line) for line in _not_read(found.not_read)]))
    caption = (
        "Strong: the mean over the draws of noise, with a band of one standard deviation. Pale: each draw. Dotted: the "
        "level at which the score above is read."
    )
    plot = draw_levels(found.curve, found.score.level, found.reference_curve)
    return [*sections, Section("Over noise levels", [Figure(plot, caption)])]


def chance_text(probability: float) -> str:
    """A probability in percent; what is not certain is not called so, and what is not a number is said."""
    if math.isnan(probability):
        return "unknown"
    if 0 < probability < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 <= probability < 1 else f"{100 * probability:.0f} %"


def _headlines(found: Explanation) -> Headlines:
    score = found.score
    spread = "" if score.deviation is None else f"± {number_text(score.deviation, '.2f')} over {score.draws} draws"
    items = [
        Headline("Score", number_text(score.raw, "+.2f"), f"at noise level {score.level:g}\n{spread}".strip()),
        Headline("z", number_text(score.z, "+.2f"), "deviations from the mean\nof the training pictures"),
    ]
    if score.win is not None:
        told = f"to be preferred to the reference,\nwhose score is {number_text(score.reference, '+.2f')}"
        items.append(Headline("P(win)", chance_text(score.win), told))
    return Headlines(items)


def _named(found: Explanation) -> Iterator[Block]:
    named = found.score.named
    if named:
        rows: list[list[Cell]] = [[name, raw, z] for name, (raw, z) in named.items()]
        yield Table(["Score by name", "Score", "z"], rows, note="Of the first draw, all from one pass of the model.")


def _notes(found: Explanation) -> Iterator[Block]:
    notes = [*found.pair.notes]
    if found.reference is not None:
        notes += [f"Reference: {note}" for note in found.reference.notes]
    if notes:
        yield Text("\n".join(f"- {as_written(note)}" for note in notes))


def _maps(found: Explanation) -> ImageGrid:
    pictures = [Picture(found.pair.pixels, "As the model sees it")]
    told = "densest {:.1f} times the mean"
    over = laid_over(found.pair.pixels, found.gradient)
    pictures.append(Picture(over, f"Gradient: where a change counts\n{told.format(found.gradient.peak)}"))
    caption = "Bright: more of it. Both are means over the draws; neither says in which direction a change would go."
    if found.attention is None:
        caption += " The head of this model has no attention, so that there is no map of where it looks."
    else:
        over = laid_over(found.pair.pixels, found.attention)
        pictures.append(Picture(over, f"Attention: where the head looks\n{told.format(found.attention.peak)}"))
    return ImageGrid([ImageRow(found.pair.prompt, pictures)], caption)


def _words(found: Explanation) -> Iterator[Block]:
    left = [one for one in found.effects if one.edit.kind == "left out"]
    colours = [one for one in found.effects if one.edit.kind == "colour"]
    note = "Score with the edit minus the score of the prompt as it is; intervals over the draws, the same for both."
    if found.not_read.words > MOST_WORDS:
        note += f" The first {MOST_WORDS} of {found.not_read.words} words were tried."
    yield Table(["Word left out", "Change of the score", "95 % interval"], [_row(one) for one in left], note=note)
    if colours:
        rows = [[f"{one.edit.word} → {one.edit.put}", *_row(one)[1:]] for one in colours]
        yield Folded("Colours changed", [Table(["Colour", "Change of the score", "95 % interval"], rows)])


def _row(effect: EditEffect) -> list[Cell]:
    ends = effect.change.ends("+.3f") if effect.change.low is not None else "needs more draws"
    return [effect.edit.word, effect.change.value, ends]


def _not_read(found: NotRead) -> Iterator[str]:
    if found.cut:
        yield f"The model reads the first {found.read} of {found.words} words ({as_written(found.cut)})."
        yield f"Not read: {as_written(found.beyond)}"
    if found.unread:
        yield as_written(found.unread)
