"""A reward model learns from votes while they come, in a thread of its own and of low priority.

What the model reads of each picture is computed once (`choice/reading.py`). The votes then say, in milliseconds, how a
taste differs from the model's score (`choice/taste.py`), and how sure that is.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtri

from dina_lrm.collecting.asking.opinions import Opinion, Seen, chances, choices, ranked
from dina_lrm.collecting.choice.posterior import Posterior, fit_posterior
from dina_lrm.collecting.choice.reading import Reading, check_teachable, read_pictures
from dina_lrm.collecting.choice.taste import Directions, LearntScore, directions
from dina_lrm.data.votes import Pair
from dina_lrm.data.votes.shares import Shares
from dina_lrm.reward_model.inputs import Notices
from dina_lrm.reward_model.model import LatentRewardModel

_AT_ONCE: Final = 32
"""Pictures that are read between two looks at the votes."""
_GROWN: Final = 1.5
"""By how much there are more pictures when directions are looked for again."""
_LOWER: Final = 10
"""By how much the thread's priority is lower than that of who answers the page."""
Key = tuple[str, str]
"""A picture by content, and a prompt."""


@dataclass(frozen=True)
class Learnt:
    """A score as `votes` have made it; its mean and spread over all pictures that were read, and their number."""

    score: LearntScore
    votes: int
    mean: float
    spread: float
    pictures: int


@final
class Learner:
    """Learns whenever there are `every` more votes, until `close`; `heard` is called with each new opinion.

    `look` says what there is, `weigh` what all votes come to, as for training; `read` gives the bytes of a picture by
    content, `held_out` are pictures that are ranked.
    `learnt` is the newest score, `fault` a sentence on why it learns no more, empty while it does.
    """

    def __init__(
        self,
        load: Callable[[], LatentRewardModel],
        look: Callable[[], Seen],
        weigh: Callable[[], Shares],
        read: Callable[[str], bytes],
        heard: Callable[[Opinion], None],
        held_out: Sequence[Key] = (),
        every: int = 10,
        random_share: float = 0.2,
        seed: int = 0,
    ) -> None:
        self._load, self._look, self._weigh, self._read, self._heard = load, look, weigh, read, heard
        self._held_out, self._every = list(held_out), every
        self._random_share, self._seed = random_share, seed
        self._readings, self._notices = _Readings(), Notices()
        self._last: Opinion | None = None
        self._chosen_from: set[str] = set()
        self._unused: Counter[str] = Counter()
        self._wake, self._closed = threading.Event(), False
        self.fault = ""
        self.learnt: Learnt | None = None
        self._thread = threading.Thread(target=self._run, name="learning", daemon=True)

    def notes(self) -> list[str]:
        """Sentences on what was resized, cut or not read, on votes that say nothing, and on why no more is learnt."""
        unread, unused = len(self._readings.unread), self._unused
        told = [f"learn: {unread} pictures could not be read; votes on them teach nothing"] if unread else []
        reasons = ", ".join(f"{count} {why}" for why, count in unused.most_common())
        told += [f"learn: {unused.total()} votes teach nothing: {reasons}"] if unused else []
        return [*(message for message, _ in self._notices.told("learn")), *told, *([self.fault] if self.fault else [])]

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look(self) -> None:
        """Look again at what there is."""
        self._wake.set()

    def close(self) -> None:
        """End, when what is being computed is, having learnt from every vote."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        _yield_to_others()
        try:
            model = self._load()
            check_teachable(model)
            noise = noise_of(model)
            while not self._closed:
                more = self._read_some(model, seen := self._look())
                self._learn(seen, noise, ready=not more)
                if not more:
                    self._wake.wait()
                    self._wake.clear()
            self._learn_at_last(model, noise)
        except (ValueError, OSError, RuntimeError) as error:
            self.fault = f"nothing more is learnt: {error}"

    def _learn_at_last(self, model: LatentRewardModel, noise: float) -> None:
        """Learn from every vote, having read the pictures that were voted on."""
        seen = self._look()
        voted = {vote.pair: seen.pairs[vote.pair] for vote in seen.votes}
        while self._read_some(model, replace(seen, pairs=voted)):
            pass
        self._learn(seen, noise, ready=False, last=True)

    def _read_some(self, model: LatentRewardModel, seen: Seen) -> bool:
        """Read the next pictures; returns whether there are more. One that cannot be read is known as such."""
        wanted = [*self._held_out, *(key for pair in seen.pairs.values() for key in _keys(pair))]
        new = [key for key in dict.fromkeys(wanted) if not self._readings.knows(key)]
        part, images = [], []
        for key in new[:_AT_ONCE]:
            try:
                images.append(self._read(key[0]))
                part.append(key)
            except (ValueError, OSError):
                self._readings.unread.add(key)
        if part:
            prompts = [prompt for _, prompt in part]
            self._readings.add(part, read_pictures(model, images, prompts, self._seed, notices=self._notices))
        return len(new) > _AT_ONCE

    def _learn(self, seen: Seen, noise: float, ready: bool, last: bool = False) -> None:
        """Form an opinion where there are enough new votes, or tasks that none was formed of."""
        before = -self._every if self._last is None else self._last.votes
        new = len(seen.votes) - before
        tasks = {id for id in seen.open if self._is_read(seen.pairs[id])}
        due = last or new >= self._every or (ready and not tasks <= self._chosen_from)
        if not self._readings.rows or not due:
            return
        self._readings.look_for_directions(self._seed)
        known, used = self._known(noise)
        self._last = self._opinion(seen, known, noise)
        self._chosen_from = tasks
        self.learnt = self._readings.learnt(known, used)
        self._heard(self._last)

    def _known(self, noise: float) -> tuple[Posterior, int]:
        """What the votes say, by what they weigh, and how many do; those on pairs that are not read say nothing."""
        found, prior = self._weigh(), self._readings.directions.before()
        self._unused = found.unused
        told = [share for share in found.pairs if self._is_read(share.pair)]
        if not told:
            return prior, 0
        differences = np.array([self._difference(share.pair) for share in told])
        wins = np.array([share.preference for share in told])
        weights = np.array([share.weight * share.votes for share in told])
        return fit_posterior(prior, differences, wins, noise, weights), sum(share.votes for share in told)

    def _opinion(self, seen: Seen, known: Posterior, noise: float) -> Opinion:
        tasks = [seen.pairs[id] for id in seen.open if self._is_read(seen.pairs[id])]
        ids = [pair.id for pair in tasks]
        votes, before = len(seen.votes), () if self._last is None else self._last.places
        held_out = [key for key in self._held_out if key in self._readings.rows]
        scores = np.array([self._readings.features(key) @ known.weights for key in held_out])
        places = ranked([content for content, _ in held_out], scores, before)
        unread = sum(not self._is_known(seen.pairs[id]) for id in seen.open)
        if not tasks:
            return Opinion(votes, places=places, unread=unread)
        differences = np.array([self._difference(pair) for pair in tasks])
        chosen = choices(known, ids, differences, noise, self._random_share, self._seed + votes)
        told = dict(zip(ids, chances(known, differences, noise).tolist(), strict=True))
        return Opinion(votes, chosen, told, places, unread)

    def _is_known(self, pair: Pair) -> bool:
        return all(map(self._readings.knows, _keys(pair)))

    def _is_read(self, pair: Pair) -> bool:
        return all(key in self._readings.rows for key in _keys(pair))

    def _difference(self, pair: Pair) -> Float[np.ndarray, " features"]:
        a, b = map(self._readings.features, _keys(pair))
        return a - b


@final
class _Readings:
    """What was read of pictures, and the directions found in it."""

    def __init__(self) -> None:
        self.rows: dict[Key, int] = {}
        self.unread: set[Key] = set()
        self._parts: list[Reading] = []
        self._found: Directions | None = None
        self._features: Float[np.ndarray, "pictures features"] = np.zeros((0, 0))
        self._found_in = 0

    @property
    def directions(self) -> Directions:
        """Those found last."""
        assert self._found is not None
        return self._found

    def knows(self, key: Key) -> bool:
        """Whether it was read, or cannot be."""
        return key in self.rows or key in self.unread

    def add(self, keys: Sequence[Key], reading: Reading) -> None:
        """What was read of some more pictures."""
        first = len(self.rows)
        self.rows.update({key: row for row, key in enumerate(keys, start=first)})
        self._parts.append(reading)

    def look_for_directions(self, seed: int) -> None:
        """Directions again where there are many more pictures, and the features of all that are new."""
        whole = self._whole()
        if self._found is None or len(whole.scores) >= _GROWN * self._found_in:
            self._found, self._found_in = directions(whole, [prompt for _, prompt in self.rows], seed), len(self.rows)
        self._features = self.directions.features(whole)

    def features(self, key: Key) -> Float[np.ndarray, " features"]:
        """Those of a picture, as of the last look."""
        found: Float[np.ndarray, " features"] = self._features[self.rows[key]]
        return found

    def learnt(self, known: Posterior, votes: int) -> Learnt:
        """The score that is likeliest."""
        values = self._features @ known.weights
        score = self.directions.score(known.weights)
        spread = float(values.std())
        return Learnt(score, votes, float(values.mean()), spread if spread > 0 else 1.0, len(values))

    def _whole(self) -> Reading:
        if len(self._parts) > 1:
            scores, statistics = ([getattr(part, name) for part in self._parts] for name in ("scores", "statistics"))
            self._parts = [Reading(np.concatenate(scores), np.concatenate(statistics))]
        return self._parts[0]


def noise_of(model: LatentRewardModel) -> float:
    """The deviation s of a person's judgement of two pictures in the model's scores: P(a preferred) is Phi(m / s).

    Of a likelihood that is not normal, that of the normal one with its slope at equal scores.
    """
    margin = 1e-2 * float(model.config.score_std)
    chance = float(model.margin_probability(torch.tensor(margin, dtype=torch.float64)))
    return margin / float(ndtri(chance))


def _yield_to_others() -> None:
    """Lower the priority of this thread, where a system knows that of threads."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _LOWER)


def _keys(pair: Pair) -> tuple[Key, Key]:
    return (pair.image_a, pair.prompt), (pair.image_b, pair.prompt)
