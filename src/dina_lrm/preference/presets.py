"""What is minimised for a comparison: a preference model and a loss; and the named combinations of the literature."""

import math
from dataclasses import dataclass
from typing import Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.preference.likelihood import BradleyTerry, PreferenceModel, Thurstone
from dina_lrm.preference.loss import fidelity_loss, nll_loss
from dina_lrm.typed import DinaError, require


@dataclass(frozen=True)
class PreferenceObjective:
    """Loss of comparisons under a preference model."""

    model: PreferenceModel
    loss: Literal["fidelity", "nll"] = "fidelity"
    epsilon: float = 0.0
    """Added to the probabilities in the fidelity loss; the NLL, computed from logarithms, has no use for it."""
    ties_from_zero: bool = False
    """NLL: subtract log 2 from the loss of a tie, whose minimum is then 0; no gradient changes (LRM)."""

    def __post_init__(self) -> None:
        require(self.loss in ("fidelity", "nll"), "PreferenceObjective: loss", self.loss, "'fidelity' or 'nll'")
        require(0 <= self.epsilon < 1, "PreferenceObjective: epsilon", self.epsilon, "a number in [0, 1)")
        require(
            self.loss == "fidelity" or self.epsilon == 0, "PreferenceObjective: epsilon of 'nll'", self.epsilon, "0"
        )

    def __call__(
        self,
        margin: Float[Tensor, " batch"],
        sigma: Float[Tensor, " batch"] | float,
        preference: Float[Tensor, " batch"] | float,
    ) -> Float[Tensor, " batch"]:
        """Loss of each comparison from its score margin, the process's `sigma(t)` and P(a preferred) of the label."""
        log_p = self.model.log_probabilities(margin, sigma)
        if self.loss == "fidelity":
            return fidelity_loss(log_p.a, log_p.b, preference, self.epsilon)
        loss = nll_loss(log_p.a, log_p.b, preference)
        if not self.ties_from_zero:
            return loss
        return loss - math.log(2) * (torch.as_tensor(preference, device=loss.device) == 0.5)


PRESETS: Final[dict[str, PreferenceObjective]] = {
    "paper": PreferenceObjective(Thurstone(k=2.0, variance_floor=0.01)),
    "released": PreferenceObjective(Thurstone(k=2.0, variance_floor=0.05, epsilon=1e-6), epsilon=1e-6),
    "fixed": PreferenceObjective(Thurstone(k=0.0, variance_floor=0.25)),
    "released-fixed": PreferenceObjective(Thurstone(k=0.0, variance_floor=0.5, epsilon=1e-6), epsilon=1e-6),
    "bradley-terry": PreferenceObjective(BradleyTerry(), loss="nll"),
    "lrm": PreferenceObjective(BradleyTerry(), loss="nll", ties_from_zero=True),
}
"""The paper's and the released code's noise-calibrated model, the same with one variance (their ablations; the paper's
sigma_u is 0.5, the code's variance is), the usual Bradley-Terry likelihood, and LRM's form of it. A new preset is
a row."""


def preference_preset(name: str) -> PreferenceObjective:
    """The preset of that name; a ValueError lists the names that are accepted."""
    if name not in PRESETS:
        raise DinaError(f"preference preset: name is {name!r}; accepted: {', '.join(PRESETS)}")
    return PRESETS[name]
