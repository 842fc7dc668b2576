"""A reward function of verl-omni: called once a sample, on the event loop of a reward worker.

    reward_functions:
      dina: {path: pkg://dina_lrm.integrations.verl_omni, name: compute_score, required: true, model: synthetic}

The samples that a worker scores at the same time gather into batches. Latents come as `solution_image` with
`output_type: latent`, as `extra_info["latents_clean"]` with `both`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dina_lrm.integrations.given import conditioning_of, latent_of, levels_of
from dina_lrm.integrations.scorer import ScorerSettings, shared_scorer_soon
from dina_lrm.serving.items import LatentItem
from dina_lrm.typed import DinaError


async def compute_score(
    solution_image: object,
    extra_info: Mapping[str, Any],
    model: str = "synthetic",
    noise_level: object = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    max_batch: int = 16,
    max_wait_ms: float = 10.0,
) -> dict[str, float]:
    """The raw score of one sample, under `score`, as verl-omni calls it.

    `model` is a reward model or remote:http://HOST:PORT; `noise_level` a number in [0, 1], a list for an ensemble, or
    None for the model's own; `seed` draws the noise, common to all samples so that those of a group can be compared.

    Raises:
        ValueError: without clean latents or embeddings, and for those that the model cannot read; with `required: true`
            it stops the run, else the trainer would learn from 0.0.
        NoScoreError, RemoteRewardError: no finite score; no server.
    """
    settings = ScorerSettings(model, device, dtype, max_batch, max_wait_ms)
    item = _item(solution_image, extra_info, levels_of(noise_level), seed)
    scorer = await shared_scorer_soon(settings)
    return {"score": await scorer.ask(item)}


def _item(solution_image: object, extra: Mapping[str, Any], levels: tuple[float, ...], seed: int) -> LatentItem:
    clean = extra.get("latents_clean")
    try:
        latents = latent_of("solution_image", solution_image) if clean is None else latent_of("latents_clean", clean)
    except DinaError as error:
        raise DinaError(f"verl-omni: {error}. Latents come with rollout.pipeline.output_type latent or both") from error
    embeds, pooled = extra.get("prompt_embeds"), extra.get("pooled_prompt_embeds")
    return LatentItem(latents, conditioning_of(embeds, pooled, extra.get("prompt_embeds_mask")), levels, seed)
