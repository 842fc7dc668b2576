"""What models predict at noised samples: the policy that drew them, the base model, and the policy that learns."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.forward.awm_settings import MatchingWeighting
from dina_lrm.alignment.algorithms.forward.matching import adaptive_error, matching_error, per_sample, wide
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Latents


@dataclass(frozen=True)
class Noised:
    """Samples at noise levels of their own, and what does not learn predicts there."""

    state: Latents
    target: Latents
    """The velocity from each sample to its noise."""
    level: Float[Tensor, " samples"]
    conditioning: Conditioning
    old: Latents | None = None
    """The velocity of the policy that drew the samples; None where that is the one that learns."""
    reference: Latents | None = None
    """The velocity of the base model, where it is needed."""
    held_to: Latents | None = None
    """What the KL holds the policy to, where that is another velocity than `reference`."""


@dataclass(frozen=True)
class Matched:
    """A micro-batch at one noise level, as an objective sees it."""

    velocity: Latents
    """Of the policy that learns, with its gradient."""
    noised: Noised
    share: Float[Tensor, " samples"]
    """The noise's share of each state: its noise level for rectified flow."""
    advantage: Float[Tensor, " samples"]
    """What each sample is worth in its group, in [-1, 1]."""
    of_group: Float[Tensor, " samples"] | None = None
    """What the objective computed for each sample from the errors of its whole group, where it compares groups."""

    @property
    def old(self) -> Latents:
        """The velocity of the policy that drew the samples; this one's own, without gradient, where it is the same."""
        return self.velocity.detach() if self.noised.old is None else self.noised.old

    def errors(
        self, weighting: MatchingWeighting = "none", power: float = 0.25
    ) -> tuple[Float[Tensor, " samples"], Float[Tensor, " samples"]]:
        """The `matching_error` of the policy that learns, with its gradient, and of the one that drew the samples."""
        own, old = (
            matching_error(velocity, self.noised.target, self.share, weighting, power)
            for velocity in (self.velocity, self.old)
        )
        return own, old

    def adaptive_errors(self) -> tuple[Float[Tensor, " samples"], Float[Tensor, " samples"]]:
        """The `adaptive_error` of the policy that learns, with its gradient, and of the one that drew the samples."""
        target = wide(self.noised.target)
        own, old = (adaptive_error(wide(each) - target, self.share) for each in (self.velocity, self.old))
        return own, old

    @property
    def deviation(self) -> Float[Tensor, " samples"]:
        """Mean squared distance of the policy from the one that drew the samples, with its gradient."""
        return per_sample((wide(self.velocity) - wide(self.old)).square())


@dataclass(frozen=True)
class Errors:
    """Errors of the velocities of three models at each sample, without gradient."""

    own: Float[Tensor, " samples"]
    old: Float[Tensor, " samples"]
    reference: Float[Tensor, " samples"] | None = None


def errors_of(velocity: Latents, noised: Noised, adaptive_share: Float[Tensor, " samples"] | None = None) -> Errors:
    """Mean squared errors of the policy's `velocity` and of the others; adaptive where the noise's share is given."""

    def error(found: Latents) -> Float[Tensor, " samples"]:
        residual = wide(found.detach()) - wide(noised.target)
        return per_sample(residual.square()) if adaptive_share is None else adaptive_error(residual, adaptive_share)

    own, reference = error(velocity), None if noised.reference is None else error(noised.reference)
    return Errors(own, own if noised.old is None else error(noised.old), reference)
