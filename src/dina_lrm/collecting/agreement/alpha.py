"""Krippendorff's alpha of several people's answers (Krippendorff, Content Analysis, 2013, chapter 12).

A unit u is a pair of pictures with m_u >= 2 answers. Of answers c and k the coincidences are
o_ck = sum over units of (ordered pairs of answers (c, k) in u) / (m_u - 1), n_c = sum_k o_ck, n = sum_c n_c, and

    alpha = 1 - (n - 1) sum_{c<k} o_ck d_ck / sum_{c<k} n_c n_k d_ck

with d_ck = 1 (nominal), or, where answers have an order, the square of the answers that lie between c and k,
(sum_{g=c..k} n_g - (n_c + n_k) / 2)^2 (ordinal). 1 is full agreement, 0 what chance gives. The answers must be about
a and b in an order that means nothing: where the preferred picture always comes first, alpha is near 0 whatever people
do.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, Literal

import numpy as np
from jaxtyping import Float, Int

from dina_lrm.evaluation.interval import Interval
from dina_lrm.typed import require

Level = Literal["ordinal", "nominal"]
MISSING: Final = -1
"""Stands for no answer."""


def coincidences(answers: Int[np.ndarray, "units people"], categories: int) -> Float[np.ndarray, "units c c"]:
    """What each unit adds to the coincidences; nothing with fewer than two answers.

    `answers` are numbers from 0 to categories - 1, or `MISSING`.
    """
    in_range = bool(((answers >= MISSING) & (answers < categories)).all())
    require(in_range, "answers", sorted(set(answers.ravel().tolist()))[:9], f"{MISSING} to {categories - 1}")
    counts = np.stack([(answers == one).sum(axis=1) for one in range(categories)], axis=1).astype(np.float64)
    together = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(categories)
    several = np.maximum(counts.sum(axis=1) - 1, 0)
    return np.divide(together, several[:, None, None], out=np.zeros_like(together), where=several[:, None, None] > 0)


def alpha_of(coincidence: Float[np.ndarray, "*draws c c"], level: Level) -> Float[np.ndarray, "*draws"]:
    """Alpha of summed coincidences; NaN where it is not defined: no two answers on any unit, or all answers alike."""
    each = coincidence.sum(axis=-1)
    distance = _distances(each, level)
    expected = np.triu(each[..., :, None] * each[..., None, :] * distance, 1).sum(axis=(-2, -1))
    observed = np.triu(coincidence * distance, 1).sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 1 - (each.sum(axis=-1) - 1) * observed / expected
    return np.where(expected > 0, found, np.nan)


def krippendorff(
    answers: Int[np.ndarray, "units people"],
    level: Level,
    categories: int,
    prompts: Sequence[Hashable] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Alpha with its 95 % interval by a bootstrap over prompts (percentiles), whose units are drawn together.

    `n` counts the prompts that have a unit with two answers; with fewer than six there is no interval. A draw for which
    alpha is not defined is left out.
    """
    units = coincidences(answers, categories)
    named = range(len(answers)) if prompts is None else prompts
    numbers = {name: number for number, name in enumerate(dict.fromkeys(named))}
    of_prompt = np.zeros((len(numbers), categories, categories))
    np.add.at(of_prompt, [numbers[name] for name in named], units)
    of_prompt = of_prompt[of_prompt.sum(axis=(1, 2)) > 0]
    value = float(alpha_of(of_prompt.sum(axis=0), level))
    if np.isnan(value):
        return Interval(None, None, None, len(of_prompt))
    drawn = _resampled(of_prompt, resamples, seed)
    found = alpha_of(drawn, level)
    found = found[~np.isnan(found)]
    if len(of_prompt) < 6 or not found.size:
        return Interval(value, None, None, len(of_prompt))
    low, high = np.quantile(found, [0.025, 0.975])
    return Interval(value, float(low), float(high), len(of_prompt))


def _distances(each: Float[np.ndarray, "*draws c"], level: Level) -> Float[np.ndarray, "*draws c c"]:
    """Squared distances between answers."""
    number = each.shape[-1]
    if level == "nominal":
        return np.broadcast_to(1 - np.eye(number), (*each.shape, number))
    below = np.cumsum(each, axis=-1) - each / 2  # the middle of each answer's share of all, in their order
    return np.square(below[..., :, None] - below[..., None, :])


def _resampled(
    of_prompt: Float[np.ndarray, "prompts c c"], resamples: int, seed: int
) -> Float[np.ndarray, "draws c c"]:
    """Sums over prompts that are drawn with replacement."""
    generator, number = np.random.default_rng(seed), len(of_prompt)
    flat = of_prompt.reshape(number, -1)
    times = generator.multinomial(number, np.full(number, 1 / number), size=resamples)
    return (times @ flat).reshape(resamples, *of_prompt.shape[1:])
