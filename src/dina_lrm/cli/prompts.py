"""The prompts that a command line names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dina_lrm.data.prompt_sets import PromptSet


def prompts_of(source: str, seeds: list[int], count: int) -> PromptSet:
    """Those of a file or folder, all of them; or `count` distinct captions of the synthetic world, drawn from `seeds`.

    Raises ValueError or FileNotFoundError as `read_prompt_set` does.
    """
    from dina_lrm.data.prompt_sets import PromptSet, read_prompt_set

    if source != "synthetic":
        return read_prompt_set(Path(source))
    import numpy as np

    from dina_lrm.synthetic.captions import distinct_captions

    return PromptSet(source, tuple(distinct_captions(np.random.default_rng(seeds), count)))
