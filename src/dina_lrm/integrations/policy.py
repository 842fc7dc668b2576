"""The trainer's own generator, whose weights a reward may share: no second copy of them is loaded.

    policy.share(pipeline)      in the trainer's process, once its LoRA is attached and before rewards are made

It is for a LoRA that learns on frozen weights. The reward reads them without that LoRA: whatever that learns, a score
stays the same to the bit. Weights that are trained are refused, now and at every score.
"""

from __future__ import annotations

from functools import wraps
from typing import Any, Final, final
from weakref import WeakSet

from diffusers import DiffusionPipeline
from torch import nn

from dina_lrm.backbones.turn import turn
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError


@final
class _Shared:
    pipeline: DiffusionPipeline | None = None


_SHARED: Final = _Shared()
_TAKES_TURNS: Final[WeakSet[nn.Module]] = WeakSet()


def share(pipeline: DiffusionPipeline | None) -> None:
    """Let latent rewards that this process loads from now on read this pipeline's weights; None ends that.

    The pipeline then takes turns with scoring, one pass at a time: it may sample while other threads score. A backward
    pass that computes activations again takes no turns: have the scores before it begins.
    """
    _SHARED.pipeline = pipeline


def shared() -> DiffusionPipeline | None:
    """The pipeline that rewards share; None where each has weights of its own."""
    return _SHARED.pipeline


def sharing(name: str, pipeline: DiffusionPipeline) -> LatentRewardModel:
    """The reward model `name`, reading the weights of a trainer's pipeline, which takes turns with it.

    Raises ValueError where a weight that it reads takes a gradient, where weights are sharded over processes, and as
    `LatentRewardModel.from_pretrained` does.
    """
    model = LatentRewardModel.from_pretrained(name, pipeline=pipeline)
    model.backbone.expect_frozen()
    _take_turns(model.backbone.owner)
    return model


def _take_turns(owner: nn.Module) -> None:
    sharded = next((name for name, value in owner.named_parameters() if type(value).__name__ == "DTensor"), None)
    if sharded is not None:
        raise DinaError(
            f"pipeline: {sharded} is sharded over processes; accepted: whole weights, or a reward of its own"
        )
    if owner in _TAKES_TURNS:
        return
    _TAKES_TURNS.add(owner)
    forward = owner.forward

    @wraps(forward)
    def in_turn(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - the model's own
        with turn(owner):
            return forward(*given, **named)

    owner.forward = in_turn
