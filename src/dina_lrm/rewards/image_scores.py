"""Scores of every image of some comparisons, by image and prompt: what filters are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch

from dina_lrm.data.comparison import Comparison, ImageSource, image_key
from dina_lrm.data.encoding.loading import load_or_fault
from dina_lrm.data.filtering import Filtered, FilterPlan, Scores
from dina_lrm.images import load_pixels
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.names import load_reward
from dina_lrm.runs.progress import ReportProgress, TitledProgress, silent
from dina_lrm.typed import DinaError


def filtered(
    comparisons: Callable[[], Iterable[Comparison]],
    plan: FilterPlan,
    rewards: Mapping[str, str] | None = None,
    progress: TitledProgress = silent,
) -> Filtered:
    """The comparisons that pass the filters of a plan.

    `comparisons` starts a reading and is called several times; `rewards` are those of MPCF by criterion (aesthetic,
    clip, vqa), each by its name such as "clip": they score the images that the filters before keep. Raises ValueError
    for a reward that is not there, or reads latents.
    """
    loaded = {criterion: load_reward(name) for criterion, name in (rewards or {}).items()}
    scores: dict[str, Scores] = {}
    if loaded:
        total = sum(1 for _ in Filtered(comparisons(), plan.without_scores()))
        for criterion, reward in loaded.items():
            kept = Filtered(comparisons(), plan.without_scores())
            with progress(f"scoring by {reward.name}") as report:
                scores[criterion] = score_images(_told(kept, total, report), reward)
    return Filtered(comparisons(), plan.filters(scores))


def _told(comparisons: Iterable[Comparison], total: int, report: ReportProgress) -> Iterator[Comparison]:
    for number, comparison in enumerate(comparisons, start=1):
        yield comparison
        report(number, total)


@torch.no_grad()
def score_images(
    comparisons: Iterable[Comparison], reward: Reward, batch_size: int = 16
) -> dict[tuple[str, str], float]:
    """Score of each distinct (image, prompt) by (`image_key`, prompt); images that cannot be read have none.

    Images of one size share a batch. Raises ValueError for a reward that does not read pixels.
    """
    if reward.kind != "pixel":
        raise DinaError(f"{reward.name} reads latents; accepted here: rewards that read pixels")
    seen: set[tuple[str, str]] = set()
    scores: dict[tuple[str, str], float] = {}
    waiting: dict[tuple[int, ...], list[tuple[tuple[str, str], torch.Tensor]]] = {}
    for key, source in _images(comparisons):
        if key in seen:
            continue
        seen.add(key)
        found = load_or_fault(source)
        if isinstance(found, str):
            continue
        pixels = load_pixels(found)
        batch = waiting.setdefault(tuple(pixels.shape), [])
        batch.append((key, pixels))
        if len(batch) == batch_size:
            scores.update(_scored(waiting.pop(tuple(pixels.shape)), reward))
    for batch in waiting.values():
        scores.update(_scored(batch, reward))
    return scores


def _images(comparisons: Iterable[Comparison]) -> Iterator[tuple[tuple[str, str], ImageSource]]:
    for comparison in comparisons:
        for image in (comparison.image_a, comparison.image_b):
            yield (image_key(image), comparison.prompt), image


def _scored(batch: list[tuple[tuple[str, str], torch.Tensor]], reward: Reward) -> dict[tuple[str, str], float]:
    keys = [key for key, _ in batch]
    found = reward(torch.stack([pixels for _, pixels in batch]), [prompt for _, prompt in keys])
    return dict(zip(keys, found.tolist(), strict=True))
