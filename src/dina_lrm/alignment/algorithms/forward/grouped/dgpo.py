"""Direct group preference optimisation as an objective of the forward process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, final

from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.forward.grouped.dgpo_loss import dgpo_loss, errors_within
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig
from dina_lrm.alignment.algorithms.forward.objective import ForwardObjective, ObjectiveLoss
from dina_lrm.alignment.algorithms.forward.optimality import Judged
from dina_lrm.alignment.algorithms.forward.passes import Errors, Matched
from dina_lrm.alignment.algorithms.groups import centred, groups_of
from dina_lrm.alignment.algorithms.win_rate import Preferred
from dina_lrm.sampling.objective import ObjectiveScores


@final
class Dgpo(ForwardObjective[DgpoConfig]):
    """Matching weighted by advantages, and by how little each group is told apart yet."""

    one_noise_a_group: ClassVar[bool] = True
    compares_groups: ClassVar[bool] = True
    needs_reference: ClassVar[bool] = True

    def judged(
        self,
        scores: ObjectiveScores,
        weights: Mapping[str, float],
        prompt_ids: Int64[Tensor, " samples"],
        likelihoods: Mapping[str, Preferred],
    ) -> Judged:
        """Advantages that add up to 0 in every group, which cutting them undoes."""
        found = super().judged(scores, weights, prompt_ids, likelihoods)
        return replace(found, advantage=centred(found.advantage, prompt_ids))

    def of_group(
        self, errors: Errors, advantage: Float[Tensor, " samples"], prompt_ids: Int64[Tensor, " samples"]
    ) -> Float[Tensor, " samples"]:
        """The weight of each sample's group, in (0, 1)."""
        assert errors.reference is not None
        group, _ = groups_of(prompt_ids, len(advantage))
        return dgpo_loss(errors.own, errors.reference, advantage, prompt_ids, self.config.dgpo.beta).weight[group]

    def loss(self, matched: Matched) -> ObjectiveLoss:
        """The published surrogate, whose gradient is that of `dgpo_loss` divided by beta."""
        clip = self.config.dgpo.clip
        assert matched.of_group is not None
        own, old = matched.errors()
        error = own if clip is None else errors_within(own, old, matched.advantage, clip)
        return ObjectiveLoss(matched.of_group * matched.advantage * error, {"group_weight": matched.of_group})
