"""Advantage-weighted matching as an objective of the forward process."""

from __future__ import annotations

from typing import final

from dina_lrm.alignment.algorithms.forward.awm_loss import awm_loss
from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.objective import ForwardObjective, ObjectiveLoss
from dina_lrm.alignment.algorithms.forward.passes import Matched


@final
class Awm(ForwardObjective[AwmConfig]):
    """The policy gradient whose log-likelihood is the matching error, held to the older policy."""

    def loss(self, matched: Matched) -> ObjectiveLoss:
        """`awm_loss` of the weighted errors, and `awm.hold` times the squared distance to the older policy."""
        settings = self.config.awm
        own, old = matched.errors(settings.weighting, settings.power)
        found = awm_loss(own, old, matched.advantage, settings.clip)
        loss = found.loss + settings.hold * matched.deviation if settings.hold else found.loss
        return ObjectiveLoss(loss, {"ratio": found.ratio})

    def faults(self) -> tuple[str, ...]:
        """A hold that is too weak for the worst samples."""
        hold = self.config.awm.hold
        if hold >= 1 or self.config.awm.weighting != "none":
            return ()
        return (
            f"awm.hold: {hold:g}; the curvature of the loss is A + hold, and samples of advantage below {-hold:g} "
            "repel without bound; accepted without a warning: at least 1, or another awm.weighting",
        )
