import pytest
import torch

from dina_lrm.backbones.latents import packed
from dina_lrm.backbones.registry import FAMILIES


def velocities():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 4, 8, 8, generator=generator).unbind()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_scale_of_one_is_the_prompts_own_velocity(family):
    without, given = velocities()
    guided = FAMILIES[family].load_class().sampling.guide(without, given, 1.0)
    torch.testing.assert_close(guided, given)


def test_tokens_of_qwen_image_are_as_long_as_without_guidance():
    without, given = velocities()
    guided = FAMILIES["qwen-image"].load_class().sampling.guide(without, given, 4.0)
    torch.testing.assert_close(packed(guided).norm(dim=-1), packed(given).norm(dim=-1))
    assert not torch.allclose(guided, given)
