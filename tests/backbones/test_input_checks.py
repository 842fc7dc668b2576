import pytest
import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.input_checks import check_batch, check_size

PROMPTS = Conditioning(torch.zeros(2, 3, 4))


def test_batches_must_agree():
    latents = torch.zeros(2, 4, 8, 8)
    check_batch(latents, torch.zeros(2), PROMPTS)
    with pytest.raises(ValueError, match=r"noise_level: got shape \(3,\), expected \(2,\) as the latents"):
        check_batch(latents, torch.zeros(3), PROMPTS)
    with pytest.raises(ValueError, match="conditioning: got 2 prompts for 1 latents"):
        check_batch(latents[:1], torch.zeros(1), PROMPTS)


@pytest.mark.parametrize("size", [(8, 6), (6, 8), (0, 8)])
def test_sizes_are_multiples_and_not_empty(size):
    check_size("pixels", torch.zeros(1, 3, 8, 16), 4)
    with pytest.raises(ValueError, match=rf"pixels: got size {size[0]} x {size[1]}, expected multiples of 4"):
        check_size("pixels", torch.zeros(1, 3, *size), 4)
