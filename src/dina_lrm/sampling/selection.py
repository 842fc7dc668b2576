"""What a sampler is asked for, and what it answers: candidates of a prompt, and the one that was chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dina_lrm.generators.generator import Latents
from dina_lrm.sampling.ledger import Evaluations
from dina_lrm.typed import require

OnPictures = Callable[[int, int], None]
"""Called with (prompts done, prompts)."""


@dataclass(frozen=True)
class SamplingPlan:
    """`n` candidates a prompt, each of `steps` steps; `batch_size` images are in the networks at once."""

    n: int = 16
    steps: int = 20
    seed: int = 0
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name in ("n", "steps", "batch_size"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "an integer of at least 1")
        require(self.seed >= 0, "seed", self.seed, "an integer of at least 0")

    def seeds(self, prompt: int) -> list[int]:
        """Seeds of the candidates of prompt number `prompt`: those of a smaller n are the first of a larger."""
        return np.random.default_rng([self.seed, prompt]).integers(2**62, size=self.n).tolist()


@dataclass(frozen=True)
class Candidate:
    """One trajectory: where it started, what it scored on the way and at the end, what it cost."""

    seed: int
    score: float | None
    """Score of the finished sample; None where it was dropped before."""
    spent: Evaluations
    step_scores: dict[int, float] = field(default_factory=dict)
    """By the step that was cut."""


@dataclass(frozen=True)
class Selection:
    """The candidates of one prompt, the best of them, and its clean latents."""

    prompt: str
    candidates: tuple[Candidate, ...]
    chosen: int
    latents: Latents
    """Latents of the chosen one; a batch of one."""

    @property
    def score(self) -> float:
        """Return the score of the chosen one."""
        score = self.candidates[self.chosen].score
        assert score is not None
        return score

    @property
    def spent(self) -> Evaluations:
        """By all candidates; decoding the chosen one to look at it is not in it."""
        return Evaluations.sum(candidate.spent for candidate in self.candidates)
