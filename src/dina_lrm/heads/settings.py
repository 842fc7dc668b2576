"""What a user says of a head: its kind and shape, as plain values. Nothing here imports torch."""

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from dina_lrm.typed import DinaError

LOGIT_SCALE: Final = 2.6592
"""ln(1 / 0.07), where CLIP's temperature starts."""


@dataclass(frozen=True)
class QFormerConfig:
    """Shape of a `QFormerHead`."""

    width: int | None = None
    """Width of the queries; None = the width of the first visual tap. A multiple of 4 and of `attention_heads`."""
    queries: int = 4
    """Learned queries that read the features."""
    attention_heads: int = 8
    """Heads of each attention."""
    use_proj_in: bool = False
    """Project features before FiLM even where their width is already `width`; other widths are always projected."""
    use_text: bool = True
    """Read the text taps too; needs a backbone that has them."""
    mask_text_padding: bool = False
    """Hide padding tokens of prompts from the queries, where the backbone knows them. The paper attends to all."""
    logistic: bool = False
    """Pass the score through a learned logistic in (-2, 2)."""
    dropout: float = 0.0
    """Share of activations that is dropped in training."""
    statistics: bool = False
    """Add a linear map of how the taps are as a whole (their means and deviations), from zero: what votes teach."""

    def __post_init__(self) -> None:
        """Refuse impossible shapes."""
        if self.queries < 1 or self.attention_heads < 1:
            given = f"queries={self.queries}, attention_heads={self.attention_heads}"
            raise DinaError(f"head: {given}; both must be at least 1")
        if not 0.0 <= self.dropout < 1.0:
            raise DinaError(f"head: dropout={self.dropout}; accepted: 0 <= dropout < 1")
        if self.width is not None:
            self.check_width(self.width)

    def check_width(self, width: int) -> None:
        """Raise ValueError unless `width` splits into quarters and into attention heads."""
        if width < 1 or width % 4 or width % self.attention_heads:
            raise DinaError(
                f"head: width={width}; accepted: multiples of 4 (each tap is narrowed to a quarter) "
                f"and of attention_heads={self.attention_heads}"
            )


@dataclass(frozen=True)
class PooledConfig:
    """Shape of a `PooledHead`."""

    width: int | None = None
    """Width of the common space; None = that of the pooled prompt."""
    guidance: float = 7.5
    """Scale of the feature enhancement; 1 = none, and half the cost: the empty prompt is not run."""
    guided: Literal["last", "all"] = "last"
    """Which taps are enhanced: the last one (LRM), or all."""
    text_projection: bool = True
    """Project the pooled prompt too; without it (SDXL) the common space is as wide as the prompt."""
    logit_scale: float = LOGIT_SCALE
    """Where the logarithm of the scale starts."""

    def __post_init__(self) -> None:
        """Refuse impossible shapes."""
        if self.width is not None and self.width < 1:
            raise DinaError(f"head: width={self.width}; accepted: at least 1, or none")
        if not 0.0 <= self.guidance < float("inf"):
            raise DinaError(f"head: guidance={self.guidance}; accepted: a finite number of at least 0")
        if self.guided not in ("last", "all"):
            raise DinaError(f"head: guided={self.guided!r}; accepted: 'last' and 'all'")
        if not math.isfinite(self.logit_scale):
            raise DinaError(f"head: logit_scale={self.logit_scale}; accepted: a finite number")


def check_one_score(scores: int) -> None:
    """Raise ValueError for several scores of a `PooledHead`: a cosine with the prompt is one number."""
    if scores != 1:
        raise DinaError(
            f"head: {scores} scores of pooled maps; accepted: 1, or the head 'qformer', which gives several"
        )


HeadConfig: TypeAlias = QFormerConfig | PooledConfig

HEAD_KINDS: Final[dict[str, type[HeadConfig]]] = {"qformer": QFormerConfig, "pooled": PooledConfig}
"""The paper's query transformer and LRM's cosine. A new head is a file, a row here and a line of `build_head`."""
