"""A person's session: the pictures of a folder, the two that are shown, and the votes on them."""

from __future__ import annotations

import io
import shlex
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

from PIL import Image

from dina_lrm.collecting.ballots import Ballots
from dina_lrm.collecting.pairs import Vote, next_pair, tally
from dina_lrm.collecting.settings import VoteSettings
from dina_lrm.images import load_image
from dina_lrm.ranking.settings import ANY_PROMPT
from dina_lrm.rewards.scoring.prompts import NoPromptsError
from dina_lrm.rewards.scoring.rows import ScoreRows, read_score_rows
from dina_lrm.screen import whole
from dina_lrm.typed import DinaError

Choice = Literal["left", "right", "tie"]
CHOICES: Final[dict[str, float]] = {"left": 1.0, "right": 0.0, "tie": 0.5}
"""What a person may say, and how likely the left picture is then preferred."""
_VOTES_OF_A_PICTURE: Final = 20
"""How often each picture is to be seen, where a session has no other end."""
_LARGEST: Final = 1600
"""Pixels of a shown picture's longer side."""
_KEPT: Final = 16
"""Shown pictures that are kept in memory."""


class NotAskedError(DinaError):
    """A vote on something else than the pair that is shown: a second click, or an old page."""


@dataclass(frozen=True)
class Shown:
    """The pair that is shown: the `number` of the vote on it, and its pictures by number."""

    number: int
    prompt: str
    left: int
    right: int


@dataclass(frozen=True)
class State:
    """How far a session is; `pair` is None when every two pictures of a prompt were compared."""

    votes: int
    aim: int
    pair: Shown | None
    unreadable: int


@final
class VoteSession:
    """Votes on the pictures of a folder, until `close`; used by the threads of a server, one call at a time.

    `notes` are sentences on what was found. Raises DinaError where no two pictures have a prompt in common.
    """

    def __init__(self, settings: VoteSettings) -> None:
        self.settings = settings
        rows, self.notes = _rows(settings)
        found = [row for row in rows if isinstance(row.source, Path)]
        self.pictures = [row for row in found if whole(str(row.source)) == str(row.source)]
        if len(self.pictures) < len(found):
            told = f"{len(found) - len(self.pictures)} pictures are not shown: their names are no text"
            self.notes.append(f"{told}, which a file of comparisons holds")
        numbers: dict[str, list[int]] = {}
        for number, row in enumerate(self.pictures):
            numbers.setdefault(row.prompt, []).append(number)
        self._groups: Sequence[list[int]] = [group for group in numbers.values() if len(group) > 1]
        self._note_alone(sum(len(group) == 1 for group in numbers.values()))
        self._ballots = Ballots(settings.out)
        self._votes: list[Vote] = self._resumed()
        self.resumed, self._unreadable = len(self._votes), set[int]()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.RLock()
        self._shown: Shown | None = None
        self._ended = False
        self._choose()

    def state(self) -> State:
        """How far the session is, and what is shown."""
        with self._lock:
            every = sum(len(group) * (len(group) - 1) // 2 for group in self._groups)
            seen = _VOTES_OF_A_PICTURE * sum(map(len, self._groups)) // 2
            return State(len(self._votes), min(every, seen), self._shown, len(self._unreadable))

    def vote(self, number: int, choice: str) -> State:
        """Save a vote on the pair that is shown, and choose the next.

        Raises NotAskedError for the number of another pair, DinaError for a choice that is none, or after the end.
        """
        with self._lock:
            self._check_open()
            shown = self._shown
            if choice not in CHOICES:
                raise DinaError(f"choice {choice!r:.40}; accepted: {', '.join(CHOICES)}")
            if shown is None or number != shown.number:
                raise NotAskedError(f"pair {number} is not the one that is shown")
            left, right = (self.pictures[one].source for one in (shown.left, shown.right))
            assert isinstance(left, Path) and isinstance(right, Path)
            self._ballots.add(shown.prompt, left, right, CHOICES[choice], number)
            self._votes.append((shown.left, shown.right, CHOICES[choice]))
            self._choose()
            return self.state()

    def take_back(self) -> State:
        """Take the last vote back, and show its pair again; nothing happens without one of this command's."""
        with self._lock:
            self._check_open()
            if self._votes and self._ballots.take_back():
                left, right, _ = self._votes.pop()
                self._shown = Shown(len(self._votes) + 1, self.pictures[left].prompt, left, right)
            return self.state()

    def close(self) -> None:
        """End the session: whoever still has the page open, a browser's waiting connection too, changes nothing."""
        with self._lock:
            self._ended = True

    def _check_open(self) -> None:
        if self._ended:
            raise DinaError("the command that serves this page has ended; votes up to here are saved")

    def picture(self, number: int) -> bytes:
        """A picture as JPEG, at most 1,600 pixels on a side. Raises ValueError or OSError for what cannot be read."""
        if not 0 <= number < len(self.pictures):
            raise DinaError(f"picture {number}; accepted: 0 to {len(self.pictures) - 1}")
        with self._lock:
            if number not in self._kept:
                self._kept[number] = _jpeg(self.pictures[number].source)
            self._kept.move_to_end(number)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return self._kept[number]

    def told(self) -> list[str]:
        """What came of it, and the one command that trains on it."""
        state, out = self.state(), self.settings.out
        new = state.votes - self.resumed
        unreadable = [f"{state.unreadable} pictures could not be read and were not shown"] if state.unreadable else []
        if not state.votes:
            return [*unreadable, "no votes yet; the same command begins again"]
        return [*unreadable, f"{state.votes} votes in {out}, {new} of them new", f"train on them: {self.command()}"]

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a command's JSON."""
        votes = len(self._votes)
        counts = {"votes": votes, "new": votes - self.resumed, "unreadable": len(self._unreadable)}
        return {"out": str(self.settings.out), "pictures": len(self.pictures), **counts, "train": self.command()}

    def command(self) -> str:
        """The command that trains a reward model on the votes."""
        return training_command(self.settings.out, len(self._votes))

    def _choose(self) -> None:
        """Choose the next pair whose pictures can be read; one that cannot is not shown again."""
        while True:
            groups = [[one for one in group if one not in self._unreadable] for group in self._groups]
            pair = next_pair(groups, tally(len(self.pictures), self._votes), self.settings.seed)
            if pair is None:
                self._shown = None
                return
            broken = {number for number in pair if not self._is_readable(number)}
            if not broken:
                self._shown = Shown(len(self._votes) + 1, self.pictures[pair[0]].prompt, *pair)
                return
            self._unreadable |= broken

    def _is_readable(self, number: int) -> bool:
        try:
            self.picture(number)
        except (ValueError, OSError):
            return False
        return True

    def _resumed(self) -> list[Vote]:
        """The votes on these pictures that the file holds."""
        known = {
            (row.source.resolve(), row.prompt): n for n, row in enumerate(self.pictures) if isinstance(row.source, Path)
        }
        votes = []
        for one in self._ballots.earlier:
            sides = [
                known.get((Path(image).resolve(), one.prompt)) if isinstance(image, str | Path) else None
                for image in (one.image_a, one.image_b)
            ]
            if sides[0] is not None and sides[1] is not None:
                votes.append((sides[0], sides[1], one.preference))
        other = len(self._ballots.earlier) - len(votes)
        if other:
            self.notes.append(f"{self.settings.out}: {other} comparisons of other pictures or prompts stay as they are")
        return votes

    def _note_alone(self, alone: int) -> None:
        if not self._groups:
            raise DinaError(
                f"{self.settings.folder}: no two of {len(self.pictures)} pictures have the same prompt; accepted: "
                "--prompt TEXT, by which all are compared, or a folder with more pictures"
            )
        if alone:
            self.notes.append(f"{alone} pictures are the only one of their prompt, and are compared with none")


def training_command(out: Path, votes: int) -> str:
    """The command that trains on the votes of a file, ten times on each, on the bundled generator."""
    steps = min(800, max(50, round(10 * votes / 84)))  # 84 pairs a step
    words = ["dina-lrm", "train", "synthetic", "--data", str(out), "--out", "runs/taste", "--steps", str(steps)]
    return shlex.join([*words, "--validation-fraction", "0.1"])


def _rows(settings: VoteSettings) -> tuple[ScoreRows, list[str]]:
    try:
        rows, notes = read_score_rows(settings.folder, settings.prompt), []
    except NoPromptsError:
        rows = read_score_rows(settings.folder, ANY_PROMPT)
        notes = [f"no prompt and no captions: all pictures are compared as “{ANY_PROMPT}”"]
    if rows.scan.left_out:
        notes.append(f"{rows.scan.found} files and folders found; {rows.scan.told()}")
    return rows, notes


def _jpeg(source: Path | bytes | None) -> bytes:
    """A picture written anew: whatever else its file holds stays with it."""
    assert source is not None
    image = load_image(source)
    image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if max(image.size) <= 128:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
