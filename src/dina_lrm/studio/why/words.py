"""What each word of a prompt does to the score of a picture, and which words the model did not read."""

from __future__ import annotations

from dataclasses import dataclass

from dina_lrm.evaluation.bootstrap import interval_of_mean
from dina_lrm.evaluation.interval import Interval
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.studio.why.edits import Edit, edits_of
from dina_lrm.studio.why.given import GivenPair, Reading, said, scores_of_draws

MOST_WORDS = 60


@dataclass(frozen=True)
class EditEffect:
    """What an edit of the prompt does: score with it minus score of the prompt as it is, over the same draws."""

    edit: Edit
    change: Interval


def effects_of_edits(
    model: LatentRewardModel,
    pair: GivenPair,
    reading: Reading,
    progress: ReportProgress = lambda done, total: None,
) -> list[EditEffect]:
    """Score the picture for every edit of its prompt; the largest change first, whatever its sign."""
    edits = edits_of(pair.prompt, MOST_WORDS)
    if not edits:
        return []
    before = scores_of_draws(model, pair, reading)
    with said():
        rows = model.encode_prompts([edit.text for edit in edits])
    found = []
    for number, edit in enumerate(edits):
        change = scores_of_draws(model, pair, reading, rows[[number]]) - before
        found.append(EditEffect(edit, interval_of_mean(change)))
        progress(len(found), len(edits))
    return sorted(found, key=lambda one: -abs(one.change.value or 0.0))


@dataclass(frozen=True)
class NotRead:
    """What of a prompt the model did not read: words behind its end, and what no tokenizer knows.

    The first `read` of `words` words were read before the prompt was cut; `cut` and `unread` are sentences.
    """

    words: int
    read: int
    cut: str | None
    unread: str | None
    beyond: str
    """The words that were cut off."""


def not_read(model: LatentRewardModel, prompt: str) -> NotRead:
    """Ask the tokenizers of a model's generator; no text encoder runs."""
    words = prompt.split()
    starts = [" ".join(words[: number + 1]) for number in range(len(words))]
    cut = model.backbone.cut_prompts(starts)
    read = next((number for number, sentence in enumerate(cut) if sentence is not None), len(words))
    [unread] = model.backbone.unread_prompts([prompt])
    return NotRead(len(words), read, cut[-1] if cut else None, unread, " ".join(words[read:]))
