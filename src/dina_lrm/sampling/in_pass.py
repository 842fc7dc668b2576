r"""The reward of a state from the generator's own pass: a score on the way costs the head and nothing else.

    separate   v = generator(x_t, t),    features = backbone(x_t, t),    r = head(features)
    in pass    v, features = generator(x_t, t),                          r = head(features)

This holds for a reward on a frozen backbone only: one with a LoRA reads other states than the generator has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import final

from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.adapter_state import adapters_in_use
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import ADAPTER, Generator, Latents
from dina_lrm.reward_model.level_scores import scoring_mode
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError


@final
class InPass:
    """Velocity and raw score of a noisy state at its own noise level, from one evaluation of the generator.

    Raises:
        ValueError: for a reward with a LoRA, on another generator or another prompt length, and where the generator
            has a LoRA in use, whose states the reward was not trained on.
    """

    def __init__(self, generator: Generator, model: LatentRewardModel) -> None:
        if model.config.lora is not None:
            raise DinaError(
                f"in-pass reward: the reward has a LoRA of rank {model.config.lora.rank} and needs a pass of its own; "
                "accepted: a reward on a frozen backbone (read others with `clean` or `noisy`)"
            )
        own = model.backbone
        if not own.shared or own.transformer is not generator.model:
            raise DinaError("in-pass reward: it reads another generator; accepted: one loaded with pipeline=")
        length = generator.backbone.config.prompt_length
        if model.backbone.config.prompt_length != length:
            found = model.backbone.config.prompt_length
            raise DinaError(f"in-pass reward: it reads prompts of {found} tokens, the generator's have {length}")
        if own.config.prompt_padding != "max":
            raise DinaError(
                f"in-pass reward: it reads prompts with prompt_padding={own.config.prompt_padding!r}, the generator "
                "with 'max'; accepted: a reward that reads the generator's own"
            )
        theirs, mine = generator.backbone.config, own.config
        if (mine.reading, mine.guidance) != (theirs.reading, theirs.guidance):
            raise DinaError(
                f"in-pass reward: it reads the generator with guidance {mine.guidance:g} and reading {mine.reading!r}, "
                f"which samples with {theirs.guidance:g} and {theirs.reading!r}; accepted: the same"
            )
        self._generator, self._model, self._backbone = generator, model, own
        self._check_untouched()

    def __call__(
        self, x: Latents, level: Tensor, conditioning: Conditioning, guidance: float = 1.0
    ) -> tuple[Latents, Float[Tensor, " batch"]]:
        """Velocity as `Generator.velocity` gives it, and the score as `LatentRewardModel.score_noisy` does.

        Raises ValueError once the generator's LoRA has learned, or another of its adapters is in use.
        """
        self._check_untouched()
        levels, batch = level.to(x.device).expand(len(x)), len(x)
        backbone, head = self._backbone, self._model.head
        with scoring_mode(self._model, self._backbone, differentiable=x):
            if guidance <= 1.0 and not head.reads_unconditional:
                velocity, features = backbone.velocity_and_features(x, levels, conditioning)
                return velocity, self._model.main_of(head([features]))
            # The prompt comes first, then what the head and what guidance compare it with, mostly the same
            empty, unguided = backbone.empty_conditioning(), backbone.unguided_conditioning()
            others = [empty] if head.reads_unconditional else []
            if guidance > 1.0 and not (others and unguided is empty):
                others.append(unguided)
            every = Conditioning.cat([conditioning, *(other[[0] * batch] for other in others)])
            times = 1 + len(others)
            velocities, features = backbone.velocity_and_features(x.repeat(times, 1, 1, 1), levels.repeat(times), every)
            read = features.rows(slice(batch))
            if head.reads_unconditional:
                read = replace(read, unconditional=features.rows(slice(batch, 2 * batch)).visual)
            velocity, last = velocities[:batch], velocities[-batch:]
            guided = velocity if guidance <= 1.0 else backbone.sampling.guide(last, velocity, guidance)
            return guided, self._model.main_of(head([read]))

    def _check_untouched(self) -> None:
        """The states are the reward's own at this moment only: what learns may have learned since."""
        if self._generator.tuned:
            raise DinaError("in-pass reward: the generator's LoRA is on, and the reward was trained without it")
        others = set(adapters_in_use(self._generator.model)) - {ADAPTER}
        if others:
            raise DinaError(
                f"in-pass reward: adapters {sorted(others)} are on, and the reward was trained without them; accepted "
                "is a generator without (pipeline.disable_lora(), pipeline.unfuse_lora())"
            )
