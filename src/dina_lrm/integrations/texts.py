"""Scores of texts, in trainers of language models: the text is drawn, describes a picture, or names one.

| a completion | its picture | scored for |
|---|---|---|
| is a prompt, of a model that rewrites prompts (`draw`) | drawn by a generator of this process | the trainer's prompt |
| describes a picture (`caption_of`) | in a column of the data set | the completion |
| names a picture (`folder`) | that file of the folder | the trainer's prompt |

A column of the data set may stand in the place of the trainer's prompt.

What a language model writes may be anything: nothing that it names is opened outside the folder, and a completion
without a picture has no score, which is None and never a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from PIL import Image

from dina_lrm.images import load_image
from dina_lrm.integrations.drawing import Drawing
from dina_lrm.integrations.given import levels_of, rows_of
from dina_lrm.integrations.scorer import ScorerSettings, shared_scorer
from dina_lrm.integrations.text_settings import TextSettings
from dina_lrm.serving.items import PictureItem
from dina_lrm.typed import DinaError

Score = float | None


@final
class TextScores:
    """Scores completions as the settings say; generator and reward are loaded at the first use."""

    def __init__(self, settings: TextSettings) -> None:
        self.settings, self._levels = settings, levels_of(settings.noise_level)
        self._drawing = Drawing(settings) if settings.draw is not None else None
        self._folder = None if settings.folder is None else Path(settings.folder).expanduser().resolve()
        if self._folder is not None and not self._folder.is_dir():
            raise DinaError(f"text reward: folder {settings.folder}; accepted: a folder of pictures")

    def __call__(
        self, prompts: Sequence[object] | None, completions: Sequence[object], columns: Mapping[str, object]
    ) -> list[Score]:
        """A raw score for each completion, None where it has no picture: it is empty, or names none.

        `prompts` and `completions` are texts, or conversations, whose last message counts. `columns` are those of the
        data set, a list each.

        Raises:
            ValueError: for a column that is not there, and for pictures of the data set that cannot be read.
            NoScoreError, RemoteRewardError: no finite score; no server.
        """
        texts = [text_of(each).strip() for each in completions]
        if self.settings.caption_of is not None:
            pictures = self._column(self.settings.caption_of, columns, len(texts))
            pairs = zip(pictures, texts, strict=True)
            return self._of_pictures([_one(each) if text else None for each, text in pairs], texts)
        wanted = self._prompts(prompts, columns, len(texts))
        if self._drawing is not None:
            return self._of_drawn(texts, wanted)
        return self._of_pictures([self._named(text) for text in texts], wanted)

    def _of_drawn(self, texts: Sequence[str], wanted: Sequence[str]) -> list[Score]:
        assert self._drawing is not None
        rows = [row for row, text in enumerate(texts) if text]
        found = self._drawing.scores([texts[row] for row in rows], [wanted[row] for row in rows]) if rows else []
        return _placed(rows, found, len(texts))

    def _of_pictures(self, pictures: Sequence[Image.Image | None], wanted: Sequence[str]) -> list[Score]:
        items = {
            row: PictureItem(picture, text, self._levels, self.settings.seed)
            for row, (picture, text) in enumerate(zip(pictures, wanted, strict=True))
            if picture is not None
        }
        if not items:
            return [None] * len(pictures)
        asked = ScorerSettings(self.settings.model, self.settings.device, max_batch=self.settings.batch_size)
        return _placed(list(items), shared_scorer(asked).scores(list(items.values())), len(pictures))

    def _prompts(self, prompts: Sequence[object] | None, columns: Mapping[str, object], count: int) -> list[str]:
        column = self.settings.prompt_column
        if column is not None:
            return [text_of(each) for each in self._column(column, columns, count)]
        if prompts is None:
            raise DinaError("text reward: no prompts are handed over; accepted: prompt_column, a column of texts")
        return [text_of(each) for each in rows_of("prompts", prompts, count)]

    def _column(self, name: str, columns: Mapping[str, object], count: int) -> list[Any]:
        if name not in columns:
            known = ", ".join(sorted(key for key, value in columns.items() if isinstance(value, list | tuple)))
            raise DinaError(f"text reward: no column {name!r}; the data set has {known or 'none'}")
        return rows_of(name, columns[name], count)

    def _named(self, text: str) -> Image.Image | None:
        """The picture that a text names, inside the folder; None for what is no picture there."""
        assert self._folder is not None
        try:
            path = (self._folder / text).resolve()
            return load_image(path) if text and path.is_relative_to(self._folder) and path.is_file() else None
        except (OSError, ValueError):  # too long, a zero in it, a file that is no picture
            return None


def text_of(given: object) -> str:
    """A text as it is; of a conversation, the text of its last message. ValueError for anything else."""
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping):
        if "content" in given:
            return text_of(given["content"])
        return str(given["text"]) if given.get("type") == "text" else ""
    if isinstance(given, Sequence) and not isinstance(given, bytes) and given:
        parts = all(isinstance(part, Mapping) and "content" not in part for part in given)
        return "".join(text_of(part) for part in given) if parts else text_of(given[-1])
    raise DinaError(f"text reward: {type(given).__name__} as a text; accepted: a text, or a list of messages")


def _one(column: Any) -> Image.Image:  # noqa: ANN401 - whatever a data set holds
    """A picture of a data set, which may stand alone in a list."""
    return load_image(column[0] if isinstance(column, list) and len(column) == 1 else column)


def _placed(rows: Sequence[int], scores: Sequence[Score], count: int) -> list[Score]:
    found: list[Score] = [None] * count
    for row, score in zip(rows, scores, strict=True):
        found[row] = score
    return found
