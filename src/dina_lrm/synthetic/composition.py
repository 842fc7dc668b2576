"""Which part of a caption a picture gets right, as the analytic oracle sees it: the compositional groups.

| attribute | a picture's value in [0, 1] | of |
|---|---|---|
| colour, shape, size | share of the objects that have what is asked for; 0 where nothing is shown | all |
| count | 1 where as many objects are shown as asked for | all |
| spatial | 1 where both objects are shown and stand as asked | captions with a relation |
| background | 1 where it has the colour asked for | all |

Objects are set beside what is asked for so that they agree best, as the oracle's alignment does: a missing object is
an error of the count, and of nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dina_lrm.synthetic.captions import prompt_of
from dina_lrm.synthetic.oracle import matched, read, related
from dina_lrm.synthetic.scene import Prompt, Scene
from dina_lrm.synthetic.vocabulary import IMAGE_SIZE

ATTRIBUTES: Final = ("colour", "shape", "size", "count", "spatial", "background")


def composition(images: NDArray[np.uint8], captions: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """(n,) for each of `ATTRIBUTES`; NaN where the caption does not ask for it, or is none of the synthetic world.

    All is NaN for pictures of another size than its 32 x 32.
    """
    values = np.full((len(captions), len(ATTRIBUTES)), np.nan)
    if images.shape[1:] == (IMAGE_SIZE, IMAGE_SIZE, 3):
        for row, (image, caption) in enumerate(zip(images, captions, strict=True)):
            prompt = prompt_of(caption)
            if prompt is not None:
                values[row] = right(read(image).scene, prompt)
    return {name: values[:, column] for column, name in enumerate(ATTRIBUTES)}


def right(scene: Scene, prompt: Prompt) -> list[float]:
    """The values of `ATTRIBUTES` for what a picture shows."""
    number = prompt.count if prompt.relation is None else len(prompt.kinds)
    pairs = matched(scene, prompt) if scene.objects else []
    spatial = float("nan")
    if prompt.relation is not None:
        both = [placed for _, placed in pairs]
        spatial = float(len(both) == 2 and related(both[0], both[1], prompt.relation))
    return [
        *(
            _share([getattr(kind, name) == getattr(shown.kind, name) for kind, shown in pairs])
            for name in ATTRIBUTES[:3]
        ),
        float(len(scene.objects) == number),
        spatial,
        float(scene.background == prompt.background),
    ]


def _share(agree: list[bool]) -> float:
    return float(np.mean(agree)) if agree else 0.0
