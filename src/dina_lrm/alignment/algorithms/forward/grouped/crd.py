"""Centred reward distillation as an objective of the forward process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final, final

from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.forward.grouped.crd_loss import centred_loss
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig
from dina_lrm.alignment.algorithms.forward.objective import ForwardObjective, ObjectiveLoss
from dina_lrm.alignment.algorithms.forward.optimality import Judged
from dina_lrm.alignment.algorithms.forward.passes import Errors, Matched, Noised, errors_of
from dina_lrm.alignment.algorithms.groups import centred, group_means, groups_of
from dina_lrm.alignment.algorithms.win_rate import Preferred
from dina_lrm.generators.generator import Latents
from dina_lrm.sampling.objective import ObjectiveScores

_SURE: Final = 1e-4
"""Win rates nearer to 0 or 1 count as this far from it: log-odds are bounded by 9.2."""


@final
class Crd(ForwardObjective[CrdConfig]):
    """Gaps between errors become gaps between optimalities, divided by beta."""

    compares_groups: ClassVar[bool] = True

    def judged(
        self,
        scores: ObjectiveScores,
        weights: Mapping[str, float],
        prompt_ids: Int64[Tensor, " samples"],
        likelihoods: Mapping[str, Preferred],
    ) -> Judged:
        """Twice the optimality (or its log-odds) less its mean in the group: beyond [-1, 1] where that is not 1/2."""
        found = super().judged(scores, weights, prompt_ids, likelihoods)
        target = (found.advantage + 1) / 2
        if self.config.crd.target == "log-odds":
            target = target.logit(_SURE)
        return replace(found, advantage=2 * centred(target, prompt_ids))

    def of_group(
        self, errors: Errors, advantage: Float[Tensor, " samples"], prompt_ids: Int64[Tensor, " samples"]
    ) -> Float[Tensor, " samples"]:
        """The mean log-ratio of each sample's group."""
        group, counts = groups_of(prompt_ids, len(advantage))
        return group_means(errors.old - errors.own, group, counts)[group]

    def errors(self, velocity: Latents, noised: Noised, share: Float[Tensor, " samples"]) -> Errors:
        """Squared, or each divided by its own size."""
        return errors_of(velocity, noised, share if self._adaptive else None)

    def optimality(self, advantage: Float[Tensor, " samples"]) -> Float[Tensor, " samples"]:
        """As its target says: log-odds count as what they are the odds of."""
        return (advantage / 2).sigmoid() if self.config.crd.target == "log-odds" else super().optimality(advantage)

    @property
    def _adaptive(self) -> bool:
        return self.config.crd.weighting == "adaptive"

    def loss(self, matched: Matched) -> ObjectiveLoss:
        """`centred_loss`, divided by beta so that its gradient at the older policy is that of matching."""
        settings = self.config.crd
        assert matched.of_group is not None
        own, old = matched.adaptive_errors() if self._adaptive else matched.errors()
        log_ratio = old.detach() - own
        loss = centred_loss(log_ratio, matched.of_group, matched.advantage / 2, settings.beta, settings.kind)
        return ObjectiveLoss(loss / settings.beta, {"log_ratio": log_ratio})
