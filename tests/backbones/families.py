"""The table of families that the conformance suite runs for. A new family adds a file of `rows` and a line, no test."""

import torch
from peft import LoraConfig
from torch import Tensor

from dina_lrm.backbones.base import Backbone
from dina_lrm.backbones.conditioning import Features
from dina_lrm.backbones.settings import LoraSettings
from tests.backbones.case import LONG, PROMPTS, FamilyCase
from tests.backbones.rows.flux import FLUX_CASES
from tests.backbones.rows.qwen_image import QWEN_IMAGE_CASES
from tests.backbones.rows.sana import SANA_CASES
from tests.backbones.rows.sd3 import SD3_CASES
from tests.backbones.rows.stable_diffusion import STABLE_DIFFUSION_CASES
from tests.backbones.rows.z_image import Z_IMAGE_CASES

__all__ = ["FAMILY_CASES", "LONG", "ONE_OF_EACH", "PROMPTS", "FamilyCase"]

FAMILY_CASES = (*SD3_CASES, *FLUX_CASES, *Z_IMAGE_CASES, *SANA_CASES, *QWEN_IMAGE_CASES, *STABLE_DIFFUSION_CASES)
ONE_OF_EACH = tuple({case.config.family: case for case in reversed(FAMILY_CASES)}.values())
"""The first row of each family."""

GENERATOR_LORA = LoraConfig(r=2, target_modules=["to_q", "to_out.0", "proj_out"], init_lora_weights=False)
"""What somebody else may have put on a generator."""
SETTINGS = LoraSettings(rank=2, alpha=4.0)

FROZEN_LORA = 2e-6
"""Tolerance between a LoRA that requires gradients and the same one that does not: torch.matmul folds the batch into
the rows for the first and may multiply item by item for the second, and on some processors the two round differently.
"""


def levels_of(*values: float) -> Tensor:
    return torch.tensor(values or (0.1, 0.4, 1.0))


def randomize_lora(backbone: Backbone, seed: int = 1, scale: float = 0.3) -> None:
    """Give the LoRA an effect: its B factors start at zero."""
    generator = torch.Generator().manual_seed(seed)
    tensors = backbone.lora_state_dict()
    backbone.load_lora_state_dict(
        {name: scale * torch.randn(t.shape, generator=generator) for name, t in tensors.items()}
    )


def tensors_of(features: Features) -> tuple[Tensor, ...]:
    return (*features.visual, *features.text, features.time_embedding)


def assert_equal(features: Features, other: Features) -> None:
    pairs = list(zip(tensors_of(features), tensors_of(other), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs), [float((a - b).abs().max()) for a, b in pairs]


def assert_close(features: Features, other: Features, tolerance: float = 1e-5) -> None:
    for a, b in zip(tensors_of(features), tensors_of(other), strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance, check_dtype=False)


def differ(features: Features, other: Features) -> bool:
    return any(not torch.equal(a, b) for a, b in zip(tensors_of(features), tensors_of(other), strict=True))
