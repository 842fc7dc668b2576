"""The model that a collection teaches, if any: the pictures it is judged by, its newest opinion, its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import final

from dina_lrm.collecting.asking.learning import Learner, Learnt
from dina_lrm.collecting.asking.opinions import Opinion, Seen
from dina_lrm.collecting.candidates.pictures import prompted_rows
from dina_lrm.collecting.choice.learnt_model import learnt_model
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.data.votes.shares import Shares
from dina_lrm.pictures.files import file_bytes
from dina_lrm.reward_model.formats import ours
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.content import content_of


@final
class Taught:
    """What learns from a collection as its settings say; where nothing does, its opinion stays that of no votes.

    `look` says what there is to learn from, `weigh` what the votes come to, `stored` gives the bytes of a picture of
    the store, and `heard` is called with each new opinion.
    """

    def __init__(
        self,
        settings: AnnotateSettings,
        random_share: float,
        look: Callable[[], Seen],
        weigh: Callable[[], Shares],
        stored: Callable[[str], bytes],
        heard: Callable[[Opinion], None],
    ) -> None:
        self.opinion = Opinion(0)
        self.written = ""
        self._settings, self._closed = settings, False
        self._weigh, self._stored, self._told = weigh, stored, heard
        self._held_out, self._found = _held_out(settings)
        self._learner = None if settings.learn is None else self._made(settings, settings.learn, random_share, look)

    def notes(self) -> list[str]:
        """Sentences on what could not be learnt from, on why nothing more is, and on the model that was written."""
        told = self._found if self._learner is None else [*self._found, *self._learner.notes()]
        return [*told, self.written] if self.written else told

    def start(self) -> None:
        """Begin to learn."""
        if self._learner is not None:
            self._learner.start()

    def look(self) -> None:
        """Look again at what there is."""
        if self._learner is not None:
            self._learner.look()

    def close(self) -> None:
        """Learn from what was voted last, and no more; write the model, once, and say so in `written`.

        Where it cannot be written, all votes are in the store still: the same command learns from them again.
        """
        if self._learner is None or self._closed:
            return
        self._closed = True
        self._learner.close()
        learnt = self._learner.learnt
        if learnt is None or not learnt.votes:
            return
        try:
            self.written = self._write(learnt)
        except (ValueError, OSError) as error:
            self.written = f"what was learnt could not be written: {error}"

    def bytes_of(self, content: str) -> bytes:
        """A picture that is held out, or one of the store. Raises ValueError or OSError for one that cannot be read."""
        if content not in self._held_out:
            return self._stored(content)
        source, _ = self._held_out[content]
        return source if isinstance(source, bytes) else file_bytes(source)

    def _write(self, learnt: Learnt) -> str:
        model, folder = str(self._settings.learn), self._settings.learnt_folder
        known = (learnt.score, learnt.votes, learnt.mean, learnt.spread)
        ours.write(folder, learnt_model(ours.read(model), *known, model))
        return f"what {learnt.votes} votes taught is a model: {folder}"

    def _made(self, settings: AnnotateSettings, model: str, random_share: float, look: Callable[[], Seen]) -> Learner:
        ours.check_free(settings.learnt_folder)
        return Learner(
            lambda: LatentRewardModel.from_pretrained(model, device=settings.device),
            look,
            self._weigh,
            self.bytes_of,
            self._heard,
            [(content, prompt) for content, (_, prompt) in self._held_out.items()],
            settings.learn_every,
            random_share,
            settings.seed,
        )

    def _heard(self, opinion: Opinion) -> None:
        self.opinion = opinion
        self._told(opinion)


def _held_out(settings: AnnotateSettings) -> tuple[dict[str, tuple[Path | bytes, str]], list[str]]:
    """Pictures that nobody votes on, by content, with their prompts; and sentences on what was found and left out."""
    if settings.held_out is None:
        return {}, []
    rows, notes = prompted_rows(settings.held_out, settings.prompt)
    found = {content_of(row.source): (row.source, row.prompt) for row in rows if row.source is not None}
    left = len(rows) - len(found)
    without = [f"{left} of {len(rows)} cannot be read, or are there twice"] if left else []
    return found, [f"--held-out {settings.held_out}: {one}" for one in (*notes, *without)]
