"""An update on given pairs: Diffusion-DPO, IPO, or KTO on each picture by itself.

Every pair is learned from once an epoch. Both its pictures are noised with one draw, at one level, and stand in one
micro-batch; which pairs an update has, their noise and their levels are a function of (seed, step).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.algorithm import Algorithm, Learn, Outcome
from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.pairs.by_reward import with_reward
from dina_lrm.alignment.pairs.errors import Pictures, errors_of
from dina_lrm.alignment.pairs.learned import LearnedPairs, PairColumns
from dina_lrm.alignment.pairs.levels import pair_levels
from dina_lrm.alignment.pairs.losses import (
    PairLoss,
    implicit_margin,
    kto_baseline,
    kto_loss,
    level_weight,
    preference_loss,
)
from dina_lrm.alignment.pairs.watch import watched
from dina_lrm.generators.generator import Generator
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective

_EPOCHS = 2**31
"""Draws the order of an epoch apart from what an update draws."""


@dataclass(frozen=True, eq=False)
class _Batch:
    """The pairs of an update over all processes, with seeds and levels; `share` is each one's part of the loss."""

    pairs: PairColumns
    seed: Int64[Tensor, " pairs"]
    level: Float[Tensor, " pairs"]
    share: Float[Tensor, " pairs"]

    def pictures(self, part: slice, side: str) -> Pictures:
        """One side of some pairs."""
        pairs = self.pairs
        bucket, image = getattr(pairs, f"bucket_{side}"), getattr(pairs, f"image_{side}")
        return Pictures(bucket[part], image[part], pairs.prompt[part], self.seed[part], self.level[part])


@final
class PairPreference(Algorithm[DpoConfig]):
    """Preference optimisation on pairs that were given."""

    differentiable: ClassVar[bool] = False

    def __init__(
        self, config: DpoConfig, generator: Generator, objective: Objective, pairs: LearnedPairs, processes: Processes
    ) -> None:
        super().__init__(config, generator, objective, pairs.prompts, processes)
        self.pairs = with_reward(pairs, config.dpo.reward, generator, objective, config.micro_batch)
        # A weighting that this generator's process has not is refused before anything is learned
        level_weight(torch.tensor(0.5), config.dpo.weighting, generator.process)

    def update(self, step: int, learn: Learn) -> Outcome:
        """One optimiser step on the weighted mean of the losses of a batch."""
        batch = self._batch(step)
        kto = self.config.dpo.kind == "kto"
        baseline = self._baseline(batch) if kto else 0.0
        rows = []
        for part in self.own_parts():
            loss, found = self._kto(batch, part, baseline) if kto else self._pairs(batch, part)
            # A process's gradient counts as a mean over processes, and shares are of the whole batch
            (self.processes.count * loss).backward()
            rows.append({"loss": loss.item(), **found})
        totals = {name: self.processes.count * float(sum(row[name] for row in rows)) for name in rows[0]}
        details = _details(self.processes.mean(totals))
        return Outcome(totals["loss"], details["margin"], {}, learn(), details)

    def watch(self) -> dict[str, float]:
        """What the model makes of pairs whose prompts are looked at, or of the first that it learns from."""
        return watched(self.generator, self.pairs, self.config.dpo, self.config.micro_batch)

    def _batch(self, step: int) -> _Batch:
        config, pairs = self.config, self.pairs.trained
        rng = np.random.default_rng([config.seed, step])
        seeds = torch.from_numpy(rng.integers(2**62, size=config.batch_size))
        levels = pair_levels(self.generator, rng.random(config.batch_size), config.dpo.weighting)
        chosen = pairs.take(self._rows(step))
        # Those of one size stand together, so that few forward passes have few of them
        chosen = chosen.take(chosen.bucket_a.argsort(stable=True))
        return _Batch(chosen, seeds, levels, chosen.weight / chosen.weight.sum())

    def _rows(self, step: int) -> Int64[Tensor, " pairs"]:
        size, count = self.config.batch_size, len(self.pairs.trained)
        places = np.arange(step * size, (step + 1) * size)
        orders = {
            int(epoch): np.random.default_rng([self.config.seed, _EPOCHS, int(epoch)]).permutation(count)
            for epoch in np.unique(places // count)
        }
        return torch.tensor([orders[int(place // count)][place % count] for place in places])

    def _pairs(self, batch: _Batch, part: slice) -> tuple[Float[Tensor, ""], dict[str, float]]:
        settings, both = self.config.dpo, _joined(batch.pictures(part, "a"), batch.pictures(part, "b"))
        own, reference = errors_of(self.generator, self.pairs.data, both, settings.weighting)
        (a, b), (a_before, b_before) = own.chunk(2), reference.chunk(2)
        preference, share = (values[part].to(a.device) for values in (batch.pairs.preference, batch.share))
        kind: PairLoss = "ipo" if settings.kind == "ipo" else "dpo"
        loss = preference_loss(a, b, a_before, b_before, preference, settings.beta, kind)
        if settings.winner_weight:
            loss = loss + settings.winner_weight * (preference * a + (1 - preference) * b)
        margin = settings.beta * implicit_margin(a, b, a_before, b_before).detach() * (2 * preference - 1).sign()
        first = preference >= 0.5
        told = {
            "margin": share * margin,
            "accuracy": share * (margin > 0).float() * (preference != 0.5).float(),
            "told": share * (preference != 0.5).float(),
            "winner_error": share * torch.where(first, a, b).detach(),
            "winner_reference": share * torch.where(first, a_before, b_before),
            "loser_error": share * torch.where(first, b, a).detach(),
            "loser_reference": share * torch.where(first, b_before, a_before),
        }
        return (share * loss).sum(), {name: values.sum().item() for name, values in told.items()}

    def _kto(self, batch: _Batch, part: slice, baseline: float) -> tuple[Float[Tensor, ""], dict[str, float]]:
        settings = self.config.dpo
        own, before = errors_of(self.generator, self.pairs.data, batch.pictures(part, "a"), settings.weighting)
        liked, share = (batch.pairs.preference[part] > 0.5).to(own.device), batch.share[part].to(own.device)
        weights = (settings.liked_weight, settings.disliked_weight)
        loss = kto_loss(own, before, liked, settings.beta, *weights, baseline=baseline)
        if settings.winner_weight:
            loss = loss + settings.winner_weight * torch.where(liked, own, torch.zeros_like(own))
        gain = (before - own).detach()
        margin = settings.beta * torch.where(liked, gain - baseline, baseline - gain)
        told = {
            "margin": share * margin,
            "accuracy": share * (margin > 0).float(),
            "told": share,
            "liked": share * liked.float(),
            "winner_error": share * liked * own.detach(),
            "winner_reference": share * liked * before,
            "loser_error": share * ~liked * own.detach(),
            "loser_reference": share * ~liked * before,
            "baseline": share * settings.beta * baseline,
        }
        return (share * loss).sum(), {name: values.sum().item() for name, values in told.items()}

    @torch.no_grad()
    def _baseline(self, batch: _Batch) -> float:
        """KTO's z: the mean gain over the batch of all processes, whatever micro-batches it is cut into."""
        gain = 0.0
        for part in self.own_parts():
            some = batch.pictures(part, "a")
            own, before = errors_of(self.generator, self.pairs.data, some, self.config.dpo.weighting, gradient=False)
            gain += (batch.share[part].to(own.device) * (before - own)).sum().item()
        return kto_baseline(self.processes.mean({"gain": self.processes.count * gain})["gain"])


def _joined(first: Pictures, second: Pictures) -> Pictures:
    return Pictures(*(torch.cat(list(pair)) for pair in zip(vars(first).values(), vars(second).values(), strict=True)))


def _details(sums: dict[str, float]) -> dict[str, float]:
    """Means over the batch: accuracy of those that say which is better, errors of liked and disliked of each kind."""
    told, liked = sums.pop("told"), sums.pop("liked", None)
    sums.pop("loss")
    found = {**sums, "accuracy": sums["accuracy"] / told if told else float("nan")}
    if liked is not None:
        for side, whole in (("winner", liked), ("loser", 1 - liked)):
            for name in (f"{side}_error", f"{side}_reference"):
                found[name] = found[name] / whole if whole > 0 else float("nan")
    return found
