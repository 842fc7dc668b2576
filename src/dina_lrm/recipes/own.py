"""A run for any generator: what a recipe says of a model is read from the generator's folder instead.

Family, depth, taps, width of the head, prompt length and resolution come from the folder (`backbones/anatomy.py`), the
objective and the optimiser from the paper. Whoever gives `--model.pretrained` and no recipe gets this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dina_lrm.backbones.anatomy import Anatomy, anatomy_of
from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.locate import absolute
from dina_lrm.training.config import (
    AdaptationSettings,
    ComputeSettings,
    LogSettings,
    ModelSettings,
    OptimizerSettings,
    TrainConfig,
)
from dina_lrm.typed import DinaError

Given = Callable[[str], str | None]
"""What an option was given; None for one that was not."""
_LEVELS: Final = (0.4, (0.2, 0.5, 0.7))
"""The paper's noise level and ensemble, of a flow."""
_LEVELS_OF_UNETS: Final = (0.25, (0.08, 0.38, 0.66))
"""Where Stable Diffusion's schedule has the same ratios of noise and signal."""
_WIDEST_HEAD: Final = 1536
"""The paper's, on wider generators too."""
_RATE: Final = 5e-5
"""The paper's, at the width of its head."""


def own(
    pretrained: str = "synthetic",
    depth: int | None = None,
    resolution: int | None = None,
    revision: str | None = None,
) -> TrainConfig:
    """The paper's objective on a generator of one's own, read as deep as its family usually is.

    `dina-lrm train own --model.pretrained FOLDER --data pairs.jsonl --out runs/own`

    `pretrained` is a folder, a hub id (of which only configurations are fetched here) or a bundled name; `depth` counts
    blocks, `resolution` pixels a side, and both are by default what the folder says. The LoRA's rank and the rate are
    those of the paper at the width of its generator, and follow a narrower one. Expected: what the pairs decide.

    Raises ValueError for a generator of no family that is read, and for one that does not say for which resolution it
    was made.
    """
    pretrained, anatomy = absolute(pretrained), anatomy_of(pretrained, revision)
    side = resolution or anatomy.resolution
    if side is None:
        raise DinaError(f"{pretrained} does not say for which image size it was made; give --model.resolution PIXELS")
    head = own_head(anatomy)
    width = min(anatomy.width, _WIDEST_HEAD)
    rank = min(64, max(4, width // 10))
    level, ensemble = _LEVELS if anatomy.flow else _LEVELS_OF_UNETS
    return TrainConfig(
        name="own",
        epochs=3.0,
        batch_size=16,
        model=ModelSettings(
            anatomy.backbone(pretrained, depth, revision),
            resolution=side,
            noise_level=level,
            ensemble_levels=ensemble,
            head=head,
        ),
        adaptation=AdaptationSettings("lora", LoraSettings(rank=rank, alpha=2.0 * rank)),
        optimizer=OptimizerSettings(lr=float(f"{min(1e-3, _RATE * _WIDEST_HEAD / width):.1e}")),
        compute=ComputeSettings(gradient_checkpointing=width >= _WIDEST_HEAD),
        log=LogSettings(log_every=10, checkpoint_every=200),
    )


def own_head(anatomy: Anatomy) -> QFormerConfig:
    """The paper's head, as wide as the generator and at most as wide as the paper's, in whole heads of attention."""
    width = max(4, min(anatomy.width, _WIDEST_HEAD) // 4 * 4)
    heads = next(count for count in range(8, 0, -1) if width % count == 0 and (width >= 16 * count or count == 1))
    return QFormerConfig(width=width, attention_heads=heads, mask_text_padding=anatomy.masks_text)


def own_of(given: Given) -> TrainConfig:
    """The recipe as options ask for it: `given` says what an option was given, None for one that was not."""
    depth, side = (_count(given(f"--model.{name}")) for name in ("depth", "resolution"))
    return own(given("--model.pretrained") or "synthetic", depth, side, given("--model.revision"))


def _count(text: str | None) -> int | None:
    """A number of at least 1; None for anything else, which is refused where options are read."""
    return int(text) if text is not None and text.isdecimal() and int(text) > 0 else None
