r"""Search for a good initial noise, without gradients: a random walk that keeps what the reward likes.

    round 0    z ~ N(0, I), `width` of them
    round r    z = sqrt(1 - radius^2) z_best + radius eps,   eps ~ N(0, I), `width` of them

Each z is followed through the whole ODE and judged at the end; the best so far is where the next round starts (the
zero-order search of arXiv 2501.09732, with proposals that leave N(0, I) as it is). No gradient is used: through all
steps it costs their activations or a recomputation, and the estimate of a single step from pure noise is an average
over pictures, whose reward says little of the sample. `radius = 1` is plain best-of-N.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.sampling.ledger import Ledger
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.selection import Candidate, OnPictures, SamplingPlan, Selection
from dina_lrm.typed import require


@dataclass(frozen=True)
class NoiseSearch:
    """How the candidates of the plan are spent: rounds of `width`, and how far each round goes from the best."""

    width: int = 4
    radius: float = 0.5

    def __post_init__(self) -> None:
        require(self.width >= 1, "noise search: width", self.width, "an integer of at least 1")
        require(0 < self.radius <= 1, "noise search: radius", self.radius, "a number in (0, 1]")

    def check(self, n: int) -> None:
        """ValueError unless the candidates make whole rounds."""
        require(n % self.width == 0, "noise search: width", self.width, f"a divisor of n = {n}")


@torch.no_grad()
def noise_search(
    generator: Generator,
    objective: Objective,
    prompts: Sequence[str],
    plan: SamplingPlan,
    search: NoiseSearch,
    report: OnPictures | None = None,
) -> list[Selection]:
    """The best sample of each prompt that the search met, among `plan.n` finished ones.

    Raises:
        ValueError: as `best_of_n`, and for a width that does not divide n.
    """
    require(bool(prompts), "prompts", prompts, "at least one")
    search.check(plan.n)
    conditioning = generator.encode_prompts(prompts)
    found: list[Selection] = []
    together = max(1, plan.batch_size // search.width)
    for start in range(0, len(prompts), together):
        rows = list(range(start, min(start + together, len(prompts))))
        found += _walk(generator, objective, [prompts[row] for row in rows], conditioning[rows], rows, plan, search)
        if report is not None:
            report(len(found), len(prompts))
    return found


def _walk(
    generator: Generator,
    objective: Objective,
    prompts: Sequence[str],
    conditioning: Conditioning,
    numbers: Sequence[int],
    plan: SamplingPlan,
    search: NoiseSearch,
) -> list[Selection]:
    count, width = len(prompts), search.width
    seeds = torch.tensor([plan.seeds(number) for number in numbers])
    told = [prompt for prompt in prompts for _ in range(width)]
    given, levels = conditioning.repeat_interleave(width), generator.levels(plan.steps)
    centre, latents = None, None
    scores = torch.empty(count, 0)
    for first in range(0, plan.n, width):
        drawn = generator.noise(seeds[:, first : first + width].flatten().tolist())
        x = drawn if centre is None else _moved(centre.repeat_interleave(width, 0), drawn, search.radius)
        clean = generator.denoise(x, given, levels)
        total = objective(clean, told, conditioning=given).total.cpu().reshape(count, width)
        before = scores.max(dim=1).values if first else torch.full((count,), -math.inf)
        better, place = total.max(dim=1).values > before, torch.arange(count) * width + total.argmax(dim=1)
        centre, latents = _taken(centre, x[place], better), _taken(latents, clean[place], better)
        scores = torch.cat([scores, total], dim=1)
    assert latents is not None
    return [_selection(generator, objective, p, prompts, seeds, scores, latents, plan) for p in range(count)]


def _moved(centre: Latents, noise: Latents, radius: float) -> Latents:
    return math.sqrt(1 - radius**2) * centre + radius * noise


def _taken(old: Latents | None, new: Latents, better: Tensor) -> Latents:
    return new if old is None else torch.where(better.to(new.device)[:, None, None, None], new, old)


def _selection(
    generator: Generator,
    objective: Objective,
    row: int,
    prompts: Sequence[str],
    seeds: Tensor,
    scores: Tensor,
    latents: Latents,
    plan: SamplingPlan,
) -> Selection:
    ledger = Ledger(plan.n)
    ledger.add("generator", range(plan.n), plan.steps * generator.passes_per_step)
    ledger.add("reward", range(plan.n))
    ledger.add("decoder", range(plan.n), objective.decodings)
    own = zip(seeds[row].tolist(), scores[row].tolist(), strict=True)
    candidates = tuple(Candidate(seed, score, ledger.of(j)) for j, (seed, score) in enumerate(own))
    return Selection(prompts[row], candidates, int(scores[row].argmax()), latents[row : row + 1])
