"""The truth of the synthetic world as a reward: `python:dina_lrm.synthetic.truth_reward.true_utility`.

No real world has it. It says what an objective can do with a reward that is never wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float32
from torch import Tensor

from dina_lrm.synthetic.captions import true_values


def true_utility(images: Float32[Tensor, "batch 3 height width"], prompts: Sequence[str]) -> list[float]:
    """What a balanced annotator makes of pictures in [0, 1] under their captions, at most 0; it has no gradient.

    NaN where `true_parts` knows none: a text that is no caption of that world, pictures of another size.
    """
    pictures = (images.detach().float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [float(value) for value in true_values(pictures, list(prompts))["utility"]]
