from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch.utils.checkpoint import set_checkpoint_early_stop

from dina_lrm.backbones.taps import block_names, run_tapped
from tests.tiny import LATENT_CHANNELS, TEXT_WIDTH, tiny_transformer

CALL = {"blocks": ("transformer_blocks.0", "transformer_blocks.1"), "taps": (1, 2)}


@pytest.fixture
def transformer():
    torch.manual_seed(0)
    return tiny_transformer()


def arguments():
    latents = torch.randn(1, LATENT_CHANNELS, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    return {
        "hidden_states": latents,
        "encoder_hidden_states": torch.ones(1, 3, 2 * TEXT_WIDTH),
        "pooled_projections": torch.ones(1, 2 * TEXT_WIDTH),
        "timestep": torch.tensor([500.0]),
    }


def test_recomputation_runs_in_the_scope_and_records_nothing(transformer):
    entered = []

    @contextmanager
    def scope(block):
        entered.append(block)
        yield

    # Without the early stop the repeated call of a block comes to its end, as the first one did.
    with set_checkpoint_early_stop(False):
        run = run_tapped(transformer, arguments(), scope=scope, gradient_checkpointing=True, **CALL)
    first, second = list(transformer.transformer_blocks)[:2]
    assert entered == [first, second]
    recorded = {number: id(states[1]) for number, states in run.outputs.items()}
    run.outputs[2][1].sum().backward()
    assert entered == [first, second, second, first]
    assert {number: id(states[1]) for number, states in run.outputs.items()} == recorded


def test_nothing_behind_the_depth_runs_and_the_model_is_restored(transformer):
    ran = []
    blocks = transformer.transformer_blocks
    for name in ("transformer_blocks.2", "transformer_blocks.3", "norm_out", "proj_out"):
        module = transformer.get_submodule(name)
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    order = list(transformer._modules)
    run = run_tapped(transformer, arguments(), scope=lambda block: nullcontext(), **CALL)
    assert ran == [] and sorted(run.outputs) == [1, 2]
    assert set(run.inputs) >= {"hidden_states", "encoder_hidden_states", "temb"}
    assert transformer.transformer_blocks is blocks and list(transformer._modules) == order
    transformer(**arguments())
    assert ran == ["transformer_blocks.2", "transformer_blocks.3", "norm_out", "proj_out"]


def test_a_model_that_never_reaches_the_end_is_an_error(transformer):
    transformer.unused = torch.nn.Identity()
    with pytest.raises(AssertionError, match="never called its block 'unused'"):
        run_tapped(transformer, arguments(), scope=lambda block: nullcontext(), blocks=("unused",), taps=(1,))
    assert isinstance(transformer.unused, torch.nn.Identity)


def test_what_a_forward_asks_of_a_block_the_block_answers(transformer):
    asked = []

    def ask(*_):
        asked.extend(hasattr(block, "mark") and block.mark for block in transformer.transformer_blocks)

    transformer.transformer_blocks[0].mark = "its own"
    transformer.pos_embed.register_forward_hook(ask)
    run_tapped(transformer, arguments(), scope=lambda block: nullcontext(), **CALL)
    assert asked == ["its own", False, False, False]


def test_blocks_of_lists_and_blocks_that_stand_alone_are_named_in_order(transformer):
    assert block_names(transformer, ("transformer_blocks", "norm_out")) == [
        *(f"transformer_blocks.{i}" for i in range(4)),
        "norm_out",
    ]
