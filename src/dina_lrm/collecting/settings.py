"""On which pictures people vote, and where their votes go; nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tyro.conf import Positional

from dina_lrm.collecting.asking.questions import Question, questions_of
from dina_lrm.precision import Precision
from dina_lrm.ranking.settings import Hidden
from dina_lrm.runs.places import check_file
from dina_lrm.serving.door import Door
from dina_lrm.typed import DinaError

STORES: Final = (".sqlite", ".db")
"""How stores of votes are called."""


@dataclass(frozen=True)
class AnnotateSettings:
    """What people are asked about, what they are asked, and where their answers go."""

    where: Positional[str]
    """What to vote on: a folder of pictures (captions x.txt beside x.png, or a metadata.jsonl, are their prompts), a
    table of pictures, a file of comparisons, the folder of an alignment run (its looks), or a generator that draws as
    people vote ("synthetic", the folder of a pipeline)."""
    against: Path | None = None
    """A second folder: pictures of the same names are compared, one of each."""
    out: Path = Path("votes.sqlite")
    """The store of votes, one file; votes that it holds are gone on from."""
    prompt: str | None = None
    """One text for all pictures, in the place of captions. With neither, all are compared as "a picture"."""
    prompts: tuple[str, ...] = ()
    """Prompts for a generator: texts, or a file of them. Without, a bundled generator draws captions of its world."""
    questions: tuple[str, ...] = ()
    """What is asked of each pair: any of overall, prompt, quality, or NAME=TEXT; several are asked after each other.
    Without, what the store asks already, or overall."""
    controls: float | None = None
    """Share of what is asked that are controls, whose answer is known (a picture against its damaged self, a picture
    of the prompt against one of another); a new store has 0.1. Until somebody has answered ten it is half."""
    repeats: float | None = None
    """Share of what is asked that the same person answered before, sides swapped; a new store has 0.05."""
    votes_a_pair: int | None = None
    """Votes of different people after which a pair is not asked again; a new store has 3."""
    learn: str | None = None
    """A reward model ("synthetic", a folder, a hub id) that learns from the votes while they come, and says which pair
    is asked next: the one whose answer is expected to tell most; one in five stays random."""
    learnt: Path | None = None
    """With --learn: the folder that what was learnt is written to as a reward model, when collecting ends; by default
    beside the votes, votes-model beside votes.sqlite."""
    learn_every: int = 10
    """Votes after which it learns again."""
    held_out: Path | None = None
    """With --learn: a folder of pictures that nobody votes on, whose ranking the page shows as it moves."""
    reveal: bool = False
    """With --learn: say after each vote how likely the model held it."""
    aim: int = 300
    """Votes of each person that the page counts up to; nothing ends there."""
    page: Path | None = None
    """Serve nothing, and write the page as one file (.html) with --aim pairs at most in it: it opens anywhere, can be
    sent by mail, and the votes that are saved on it come in by `annotate import VOTES page FILE`."""
    host: str = "127.0.0.1"
    """Address of the page; another than this machine's own needs a token."""
    port: int = 8790
    """Port of the page; 0 takes a free one. What waits in a browser is sent to the port that it was cast at."""
    token_file: Path | None = None
    """A file with a token, of at least 16 characters; the page is then opened by the address that is printed."""
    tls_cert: Path | None = None
    """A certificate (PEM), for https."""
    tls_key: Path | None = None
    """Its private key."""
    seed: int = 0
    """Seed of which pairs come first."""
    device: Hidden[str | None] = None
    """Where a generator draws; the best device here by default."""
    precision: Hidden[Precision] = "auto"
    """What its weights are held in."""

    def check(self) -> None:
        """Refuse a place that is not there, questions that are none, and an open door. Raises DinaError."""
        if self.against is not None:
            for option, folder in (("", Path(self.where)), ("--against ", self.against)):
                if not folder.is_dir():
                    raise DinaError(f"{option}{folder}: no such folder; accepted: two folders of pictures")
        for option, text in (("--prompt", self.prompt), *(("--prompts", text) for text in self.prompts)):
            if text is not None and not text.strip():
                raise DinaError(f"{option}: is empty; accepted: a text, or no {option}")
        for option, share in (("--controls", self.controls), ("--repeats", self.repeats)):
            if share is not None and not 0 <= share <= 0.5:
                raise DinaError(f"{option} {share}; accepted: a share from 0 to 0.5")
        if self.votes_a_pair is not None and self.votes_a_pair < 1:
            raise DinaError(f"--votes-a-pair {self.votes_a_pair}; accepted: whole numbers of at least 1")
        for option, least in (("--aim", self.aim), ("--learn-every", self.learn_every)):
            if least < 1:
                raise DinaError(f"{option} {least}; accepted: whole numbers of at least 1")
        if self.learn is None and (self.held_out is not None or self.learnt is not None or self.reveal):
            raise DinaError("--held-out, --learnt, --reveal: nothing learns; accepted: with --learn MODEL")
        if self.held_out is not None and not self.held_out.is_dir():
            raise DinaError(f"--held-out {self.held_out}: no such folder; accepted: a folder of pictures")
        self.asked()
        self._check_page()
        self.door.check()
        check_file("--out", self.out, STORES)

    def _check_page(self) -> None:
        """Refuse what a page cannot do that is a file."""
        if self.page is None:
            return
        served = {
            "--questions": self.questions,
            "--learn": self.learn,
            "--controls": self.controls,
            "--repeats": self.repeats,
            "--votes-a-pair": self.votes_a_pair,
            "--token-file": self.token_file,
            "--tls-cert": self.tls_cert,
        }
        said = [option for option, value in served.items() if value]
        if said:
            raise DinaError(f"{', '.join(said)}: no effect on --page {self.page}; accepted: where the page is served")
        check_file("--page", self.page, (".html",))

    def asked(self) -> tuple[Question, ...]:
        """The questions that are said; none where none are. Raises DinaError for words that are none."""
        return questions_of(self.questions) if self.questions else ()

    @property
    def learnt_folder(self) -> Path:
        """Where the model is written that learns."""
        return self.out.with_name(f"{self.out.stem}-model") if self.learnt is None else self.learnt

    @property
    def door(self) -> Door:
        """Where the page is and who may open it."""
        return Door(self.host, self.port, self.token_file, self.tls_cert, self.tls_key)
