r"""LRM's head (arXiv 2502.01051): pooled maps of several resolutions against the pooled prompt, no attention.

    f_j   = mean over positions of the map at tap j
    f_J  <- f_J(empty) + g (f_J(prompt) - f_J(empty))          visual feature enhancement, g = 7.5: the last tap (mid
                                                               block), or all taps
    v     = W_v concat_j f_j        u = W_u pooled prompt      no biases; W_u left out where the encoder projects
    score = exp(logit_scale) cos(v, u)                         logit_scale starts at ln(1 / 0.07) = 2.6592

The time enters through the generator alone. Several noise levels are averaged after the cosine. Parameter names are
those of the weights published with LRM.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Features
from dina_lrm.heads.base import Head, HeadTokens
from dina_lrm.heads.settings import PooledConfig
from dina_lrm.typed import DinaError


class PooledHead(Head):
    """Cosine of pooled, projected maps and the pooled, projected prompt."""

    def __init__(self, config: PooledConfig, visual_widths: Sequence[int], pooled_width: int) -> None:
        super().__init__()
        if pooled_width < 1:
            raise DinaError("head: the backbone has no pooled prompt, which LRM's head compares pictures with")
        width = config.width if config.width is not None else pooled_width
        if not config.text_projection and width != pooled_width:
            raise DinaError(
                f"head: width={width} without text_projection; accepted: {pooled_width}, the pooled prompt's"
            )
        self.config = config
        self.visual_projection = nn.Linear(sum(visual_widths), width, bias=False)
        nn.init.normal_(self.visual_projection.weight, std=0.02)
        self.text_projection = nn.Linear(pooled_width, width, bias=False) if config.text_projection else None
        if self.text_projection is not None:
            # Published models start from CLIP's own projection; one that keeps all angles is nearest to it
            nn.init.orthogonal_(self.text_projection.weight)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale))

    @property
    def reads_unconditional(self) -> bool:
        """Whether the maps of the empty prompt are needed beside those of the prompt."""
        return self.config.guidance != 1.0

    def tokens(self, features: Features) -> HeadTokens:
        """One visual and one text token: unit vectors of the common space."""
        if features.pooled_text is None:
            raise DinaError("head: conditioning has no pooled_prompt_embeds, which LRM's head compares pictures with")
        dtype = self.visual_projection.weight.dtype
        visual = self.visual_projection(torch.cat(self._pooled(features), dim=-1).to(dtype))
        text = features.pooled_text.to(dtype)
        text = text if self.text_projection is None else self.text_projection(text)
        return HeadTokens(_unit(visual).unsqueeze(1), _unit(text).unsqueeze(1))

    def scores(self, tokens: Sequence[HeadTokens]) -> Float[Tensor, "batch 1"]:
        """Scaled cosine, averaged over the noise levels."""
        levels = HeadTokens.cat(tokens)
        assert levels.text is not None
        return self.logit_scale.float().exp() * (levels.visual * levels.text).sum(dim=-1).mean(dim=1, keepdim=True)

    def _pooled(self, features: Features) -> list[Tensor]:
        means = [tokens.float().mean(dim=1) for tokens in features.visual]
        if not self.reads_unconditional:
            return means
        if features.unconditional is None:
            raise DinaError("head: guidance needs the features of the empty prompt; read them with `read_features`")
        empty = [tokens.float().mean(dim=1) for tokens in features.unconditional]
        enhanced = [u + self.config.guidance * (c - u) for c, u in zip(means, empty, strict=True)]
        return enhanced if self.config.guided == "all" else [*means[:-1], enhanced[-1]]


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.float(), dim=-1)
