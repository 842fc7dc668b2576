"""A reward model of Flow-Factory, named by its dotted path.

    rewards:
      - {name: dina, reward_model: dina_lrm.integrations.flow_factory.Dina, dtype: float32, model: synthetic}

Latents are read where the last one that was stored is the clean one. Trainers that learn from some steps alone (GRPO)
store these alone: `latent_index_map[-1]` is -1 then, the last latent has noise, and the picture is read in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, Final

import torch

from dina_lrm.integrations.given import conditioning_of, levels_of, picture_of, rows_of, unpacked_latent
from dina_lrm.integrations.scorer import Asked, Scorer, ScorerSettings, shared_scorer
from dina_lrm.integrations.worded import WordedItem
from dina_lrm.serving.items import LatentItem, PictureItem
from dina_lrm.typed import DinaError

_KEYS: Final = ("model", "noise_level", "seed", "max_batch", "max_wait_ms")
_TOLD: Final = ("prompt_embeds", "pooled_prompt_embeds", "prompt_embeds_mask")


class DinaReward:
    """What Flow-Factory constructs and calls; `Dina` is it together with the trainer's own base class.

    Its settings stand beside the trainer's in YAML: `model`, `noise_level`, `seed`, `max_batch` (by default the
    trainer's batch_size) and `max_wait_ms`. Raises ValueError for a key that is none of these.
    """

    required_fields = ("image", "prompt", "prompt_embeds", "all_latents", "latent_index_map", "height", "width")
    use_tensor_inputs = True

    device: torch.device
    dtype: torch.dtype

    def __init__(self, config: Any, accelerator: Any) -> None:  # noqa: ANN401 - classes of the trainer
        super().__init__(config, accelerator)  # type: ignore[call-arg]
        given = dict(config.extra_kwargs)
        unknown = [key for key in given if key not in _KEYS]
        if unknown:
            raise DinaError(f"Flow-Factory: the reward's key {unknown[0]!r}; accepted: {', '.join(_KEYS)}")
        self.levels, self.seed = levels_of(given.get("noise_level")), int(given.get("seed", 0))
        self.scorer: Scorer = shared_scorer(
            ScorerSettings(
                given.get("model", "synthetic"),
                str(self.device),
                str(self.dtype).removeprefix("torch."),
                int(given.get("max_batch", config.batch_size)),
                float(given.get("max_wait_ms", 10.0)),
            )
        )

    def __call__(
        self,
        prompt: Sequence[str],
        image: object = None,
        prompt_embeds: object = None,
        pooled_prompt_embeds: object = None,
        prompt_embeds_mask: object = None,
        all_latents: object = None,
        latent_index_map: object = None,
        height: object = None,
        width: object = None,
    ) -> Any:  # noqa: ANN401 - the trainer's RewardModelOutput
        """Raw scores of samples; every argument is a list over them, and absent where one sample has None.

        Raises:
            ValueError: without clean latents and pictures, and for those that the model cannot read.
            NoScoreError, RemoteRewardError: no finite score; no server.
        """
        count = len(prompt)
        latents = _clean(count, all_latents, latent_index_map)
        if isinstance(latents, str):
            items = self._pictures(prompt, image, latents)
        else:
            sizes = zip(rows_of("height", height, count), rows_of("width", width, count), strict=True)
            told = (prompt_embeds, pooled_prompt_embeds, prompt_embeds_mask)
            items = self._latents(prompt, latents, list(sizes), told)
        rewards = torch.tensor(self.scorer.scores(items), dtype=torch.float32)
        return import_module("flow_factory.rewards.abc").RewardModelOutput(rewards=rewards)

    def _latents(
        self, prompt: Sequence[str], latents: Sequence[object], sizes: Sequence[Any], told: Sequence[object]
    ) -> list[Asked]:
        rows = [rows_of(name, values, len(prompt)) for name, values in zip(_TOLD, told, strict=True)]
        items: list[Asked] = []
        for text, latent, (height, width), row in zip(prompt, latents, sizes, zip(*rows, strict=True), strict=True):
            read = unpacked_latent("all_latents", latent, int(height or 0), int(width or 0))
            if row[0] is None:
                items.append(WordedItem(read, text, self.levels, self.seed))
            else:
                items.append(LatentItem(read, conditioning_of(*row), self.levels, self.seed))
        return items

    def _pictures(self, prompt: Sequence[str], image: object, reason: str) -> list[Asked]:
        if image is None:
            raise DinaError(f"Flow-Factory: {reason}, and no image came; accepted: clean latents, or pictures")
        self.scorer.notice(reason, f"{reason}: pictures are read in their place")
        pictures = rows_of("image", image, len(prompt))
        return [
            PictureItem(picture_of("image", each), text, self.levels, self.seed)
            for each, text in zip(pictures, prompt, strict=True)
        ]


def _clean(count: int, all_latents: object, index_map: object) -> list[Any] | str:
    """The clean latent of each sample, or the reason why there is none."""
    if all_latents is None or index_map is None:
        return "no latents came with a map of their steps"
    stored = zip(rows_of("all_latents", all_latents, count), rows_of("latent_index_map", index_map, count), strict=True)
    found = []
    for latents, steps in stored:
        place = int(steps[-1])
        if place < 0:
            return "the last latent that was stored is a noisy one (latent_index_map[-1] is -1)"
        found.append(latents[place])
    return found


@cache
def _dina() -> type:
    """The class that the configuration names, made of the trainer's own base class."""
    base = import_module("flow_factory.rewards.abc").PointwiseRewardModel
    return type("Dina", (DinaReward, base), {"__module__": __name__, "__doc__": DinaReward.__doc__})


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's
    if name == "Dina":
        return _dina()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers Dina")
