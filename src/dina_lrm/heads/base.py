r"""What a head is: features of one noise level -> tokens; tokens of one or more levels -> one or several scores.

    tokens_k = head.tokens(features at t_k)          k = 1..K, each modulated at its own noise level
    scores   = head.scores([tokens_1, ..., tokens_K])

K = 1 is the plain score; K > 1 is the token-level noise ensemble (paper, Eq. 13): the query transformer runs once over
the tokens of all levels, so that an ensemble costs K backbone passes and a single head pass.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Features
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class HeadTokens:
    """Context tokens for the query transformer, of one noise level or of several concatenated ones."""

    visual: Float[Tensor, "batch visual_tokens width"]
    text: Float[Tensor, "batch text_tokens width"] | None = None
    text_mask: Bool[Tensor, "batch text_tokens"] | None = None
    """True where a text token may be attended to; None = everywhere."""
    statistics: Float[Tensor, "batch statistics"] | None = None
    """How the taps are as a whole, for a head that reads that; of several levels their mean."""

    @staticmethod
    def cat(levels: Sequence["HeadTokens"]) -> "HeadTokens":
        """Concatenate the tokens of several noise levels along the token axis."""
        if not levels:
            raise DinaError("head: scores() was given no tokens; it takes those of at least one noise level")
        if len(levels) == 1:
            return levels[0]
        return HeadTokens(
            visual=torch.cat([level.visual for level in levels], dim=1),
            text=_cat_or_none([level.text for level in levels]),
            text_mask=_cat_or_none([level.text_mask for level in levels]),
            statistics=_mean_or_none([level.statistics for level in levels]),
        )


class Head(nn.Module, ABC):
    """Maps backbone features to the scores of a sample, all from one pass; their names are the model's.

    Final classes implement `tokens` and `scores`.
    """

    @property
    def reads_unconditional(self) -> bool:
        """Whether `tokens` needs the features of the empty prompt too (classifier-free guidance on features)."""
        return False

    @property
    def count(self) -> int:
        """How many scores it gives."""
        return 1

    @abstractmethod
    def tokens(self, features: Features) -> HeadTokens:
        """Context tokens of one noise level, modulated by that level's time embedding."""

    @abstractmethod
    def scores(self, tokens: Sequence[HeadTokens]) -> Float[Tensor, "batch scores"]:
        """The float32 scores of each sample from the tokens of one or several noise levels."""

    def visual_attention(self, tokens: Sequence[HeadTokens]) -> Float[Tensor, "batch visual_tokens"] | None:
        """How much is read of each visual token, shares that sum to one; None for a head without attention."""
        return None

    def forward(self, features: Sequence[Features]) -> Float[Tensor, "batch scores"]:
        """Score the features of one or several noise levels of the same samples."""
        return self.scores([self.tokens(level) for level in features])


def _cat_or_none(parts: Sequence[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    if not present:
        return None
    if len(present) != len(parts):
        raise DinaError(f"head: {len(present)} of {len(parts)} noise levels have text tokens or a mask; all or none do")
    return torch.cat(present, dim=1)


def _mean_or_none(parts: Sequence[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.stack(present).mean(dim=0) if present else None
