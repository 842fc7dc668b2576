r"""Losses of a comparison from both log-probabilities and the label p = P(a preferred) in [0, 1].

    NLL      = -p log P - (1 - p) log(1 - P)
    fidelity = 1 - sqrt(p P) - sqrt((1 - p)(1 - P))      (Tsai et al., 2007)

For hard labels the fidelity loss is the paper's `1 - sqrt(y P + (1 - y)(1 - P))` (Eq. 9). It lies in [0, 1] and is zero
where P = p. A tie (p = 1/2) pulls the margin to zero, as it does in the NLL. Weights are the caller's.
"""

from collections.abc import Callable
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.typed import DinaError

Loss = Callable[[Tensor, Tensor, Tensor | float], Tensor]


def fidelity_loss(
    log_p_a: Float[Tensor, "*shape"],
    log_p_b: Float[Tensor, "*shape"],
    preference: Float[Tensor, "..."] | float,
    epsilon: float = 0.0,
) -> Float[Tensor, "*shape"]:
    """Fidelity loss of each comparison; `epsilon` is added to both probabilities (released code: 1e-6).

    Computed as half the squared Hellinger distance, `((sqrt p - sqrt P)^2 + (sqrt(1 - p) - sqrt(1 - P))^2) / 2`: the
    same number without cancellation near zero. The root of P is exp(log P / 2), whose gradient is finite at P = 0.
    """
    log_p_a, log_p_b, p = _in_float32(log_p_a, log_p_b, preference)
    gap_a = p.sqrt() - _root(log_p_a, epsilon)
    gap_b = (1 - p).sqrt() - _root(log_p_b, epsilon)
    return (gap_a.square() + gap_b.square()) / 2 - epsilon


def nll_loss(
    log_p_a: Float[Tensor, "*shape"],
    log_p_b: Float[Tensor, "*shape"],
    preference: Float[Tensor, "..."] | float,
) -> Float[Tensor, "*shape"]:
    """Cross-entropy of each comparison with its label; at its minimum P = p it is the label's entropy."""
    log_p_a, log_p_b, p = _in_float32(log_p_a, log_p_b, preference)
    return -(p * log_p_a + (1 - p) * log_p_b)


LOSSES: Final[dict[str, Loss]] = {"fidelity": fidelity_loss, "nll": nll_loss}


def _root(log_p: Tensor, epsilon: float) -> Tensor:
    if epsilon == 0:
        return (log_p / 2).exp()
    return (log_p.exp() + epsilon).sqrt()


def _in_float32(log_p_a: Tensor, log_p_b: Tensor, preference: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
    dtype = torch.promote_types(log_p_a.dtype, torch.float32)
    p = torch.as_tensor(preference, dtype=dtype, device=log_p_a.device)
    if p.ndim > 0 and p.shape != log_p_a.shape:
        raise DinaError(
            f"preference loss: labels of shape {tuple(p.shape)} for probabilities of shape {tuple(log_p_a.shape)}; "
            "accepted: one number or one label per comparison"
        )
    return log_p_a.to(dtype), log_p_b.to(dtype), p
