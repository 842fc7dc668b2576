"""DiffusionNFT as an objective of the forward process."""

from __future__ import annotations

from typing import final

from dina_lrm.alignment.algorithms.forward.nft_loss import nft_loss
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.forward.objective import ForwardObjective, ObjectiveLoss
from dina_lrm.alignment.algorithms.forward.passes import Matched


@final
class Nft(ForwardObjective[NftConfig]):
    """Good samples are matched a step towards, bad ones a step away."""

    def loss(self, matched: Matched) -> ObjectiveLoss:
        """`nft_loss` with the optimality (A + 1) / 2."""
        settings, noised = self.config.nft, matched.noised
        optimality = (matched.advantage + 1) / 2
        found = nft_loss(
            matched.velocity, matched.old, noised.target, matched.share, optimality, settings.beta, settings.weighting
        )
        return ObjectiveLoss(found.loss)
