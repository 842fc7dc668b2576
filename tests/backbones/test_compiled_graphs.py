"""Compiled blocks: one graph for what trains alike, whatever the size of the picture and of the batch."""

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from dina_lrm.backbones.conditioning import Conditioning
from tests.backbones.families import ONE_OF_EACH, SETTINGS

SIZES = ((8, 8), (8, 16), (16, 8))


# dynamo looks at the gradients of what it compiles
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.slow
@pytest.mark.parametrize("case", ONE_OF_EACH, ids=lambda case: case.name)
def test_three_sizes_and_two_batches_are_compiled_once(case, tmp_path):
    backbone = case.standalone(case.save(tmp_path / "generator"))
    backbone.add_lora(SETTINGS)
    backbone.train()
    counter = CompileCounter()
    torch._dynamo.reset()
    backbone.compile_blocks(backend=counter)

    def graphs(batch, height, width):
        """How many there are after a step of this size."""
        backbone.features(*drawn(backbone, batch, height, width)).visual[-1].float().sum().backward()
        return counter.frame_count

    first = graphs(2, *SIZES[0])
    if backbone.open_sizes:
        # What the first step compiled is all there is: a graph for each kind of block, and whether its input has a
        # gradient
        later = [graphs(batch, *size) for batch in (2, 3) for size in SIZES]
        assert 0 < first == later[-1], (first, later)
    else:  # a graph for each size of picture and batch, and none again
        of_batch, of_size, again = graphs(3, *SIZES[0]), graphs(3, *SIZES[1]), graphs(2, *SIZES[0])
        assert 0 < first < of_batch < of_size == again


def drawn(backbone, batch, height, width):
    generator = torch.Generator().manual_seed(0)
    shape = backbone.prompt_shape
    prompts = Conditioning(
        torch.randn(batch, shape.tokens, shape.width, generator=generator),
        torch.randn(batch, shape.pooled, generator=generator) if shape.pooled else None,
    )
    latents = torch.randn(batch, backbone.latent_channels, height, width, generator=generator)
    return latents, torch.rand(batch, generator=generator), prompts
