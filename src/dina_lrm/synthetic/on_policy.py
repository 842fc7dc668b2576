"""Training comparisons of a generator's own samples, judged by annotators who see what the analytic oracle sees.

A reward model that has seen a generator's own mistakes ranks its samples better than one that has seen the renderer's,
and is what alignment wants. The oracle errs on such pictures too: `stored_oracle_error().sentence()` says by how much.
"""

from collections.abc import Callable

import numpy as np

from dina_lrm.synthetic.comparisons import Labelling, SyntheticComparisons, ranking_pairs
from dina_lrm.synthetic.oracle import oracle_parts
from dina_lrm.synthetic.scene import sample_prompt, seen
from dina_lrm.synthetic.utility import PERSONALITIES
from dina_lrm.synthetic.world import SyntheticPipeline, sample_images

SEED = 8_000_000
_RUN = 1_000_000_000
"""Between the seeds of two runs' pictures."""


def on_policy_comparisons(
    pipeline: SyntheticPipeline,
    prompts: int,
    images: int = 6,
    seed: int = 0,
    labels: Labelling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SyntheticComparisons:
    """All pairs of `images` samples for each of `prompts` prompts, of combinations that training may see.

    Pictures are a function of `seed` and the pipeline; `progress` is called with (pictures done, pictures).
    """
    rng = np.random.default_rng(SEED + seed)
    asked = [sample_prompt(rng, seen) for _ in range(prompts)]
    captions = [prompt.caption() for prompt in asked for _ in range(images)]
    seeds = [SEED + _RUN * (seed + 1) + number for number in range(len(captions))]
    pictures = sample_images(pipeline, captions, seeds, progress=progress)
    parts = oracle_parts(pictures, [prompt for prompt in asked for _ in range(images)])
    pairs = ranking_pairs(prompts, images)
    preference, probability = (labels or Labelling()).heard(parts, pairs, rng)
    return SyntheticComparisons(
        prompts=tuple(prompt.caption() for prompt in asked),
        images=pictures,
        group=np.repeat(np.arange(prompts), images),
        utility=PERSONALITIES["balanced"].utility(parts),
        pairs=pairs,
        preference=preference,
        probability=probability,
        source="on-policy",
        axes=(labels or Labelling()).heard_by_axis(parts, pairs, np.random.default_rng((SEED, seed, 1))),
    )
