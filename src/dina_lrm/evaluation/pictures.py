"""Pictures of encoded comparisons, for reports of sets whose images are not at hand."""

from __future__ import annotations

import numpy as np
import torch

from dina_lrm.data.cache import EncodedComparisons
from dina_lrm.reward_model.model import LatentRewardModel


@torch.no_grad()
def decoded_pair(model: LatentRewardModel, data: EncodedComparisons, pair: int) -> tuple[np.ndarray, np.ndarray]:
    """Both images of a pair, (h, w, 3) uint8, as the generator's decoder draws their latents."""
    batch = data.batch(torch.tensor([pair])).to(model.device)
    rows = torch.cat([batch.first, batch.second])
    pixels = model.backbone.decode_latents(batch.latents[rows])
    images = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return images[0], images[1]
