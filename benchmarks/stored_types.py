"""What storing latents and prompts in a smaller type changes: scores and accuracy of the bundled model.

Pictures and prompts of the bundled world are encoded once in float32 and rounded as a cache stores them; the model
reads both in float32, with the same noise. Accuracy is that on the labels, its change with a 95 % interval over pairs.

    python -m benchmarks stored_types --pairs 4000 --seed 0
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.evaluation.scoring import readings_of, score_comparisons
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.encoding import encode
from dina_lrm.synthetic.sets import synthetic_comparisons


def rounded(data: EncodedComparisons, dtype: torch.dtype) -> EncodedComparisons:
    """The set as a cache of that type holds it."""
    latents = torch.cat([shard["latents"] for shard in data.latents[0].shards()])
    prompts = data.conditioning_of(torch.arange(len(data.prompts))).to(dtype=dtype).to(dtype=torch.float32)
    told = Conditioning(prompts.prompt_embeds, prompts.pooled_prompt_embeds, prompts.prompt_mask)
    pairs = data.pairs
    sides = (pairs.image_a, pairs.image_b, pairs.prompt, pairs.preference)
    return EncodedComparisons.from_tensors(latents.to(dtype).float(), told, *sides, prompts=data.prompts)


def main(words: Sequence[str] | None = None) -> None:
    """Print a line for each type."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    model = LatentRewardModel.from_pretrained("synthetic", dtype=torch.float32)
    made = synthetic_comparisons("in_domain", given.pairs, given.seed)
    data = encode(made, model.backbone)
    readings = readings_of([0.4], [])
    likes_a = data.preference.numpy() > 0.5
    decided = data.preference.numpy() != 0.5
    exact = score_comparisons(model, data, readings)
    right = ((exact.first > exact.second)[:, 0] == likes_a)[decided]
    spread = float(np.concatenate([exact.first, exact.second]).std())
    print(f"{len(right)} pairs, seed {given.seed}: accuracy {right.mean():.4f} in float32, scores' sd {spread:.3f}")
    for dtype in (torch.float16, torch.bfloat16):
        found = score_comparisons(model, rounded(data, dtype), readings)
        moved = np.abs(np.concatenate([found.first - exact.first, found.second - exact.second])) / spread
        change = ((found.first > found.second)[:, 0] == likes_a)[decided].astype(float) - right
        error = 1.96 * change.std() / np.sqrt(len(change))
        print(
            f"{str(dtype).removeprefix('torch.')}: accuracy {100 * change.mean():+.2f} points "
            f"({100 * (change.mean() - error):+.2f} to {100 * (change.mean() + error):+.2f}), "
            f"{int((change != 0).sum())} pairs decided otherwise; scores move by {moved.mean():.4f} sd in the mean, "
            f"{moved.max():.4f} at most"
        )


if __name__ == "__main__":
    main()
