"""Read the maps between a U-Net's blocks while its own `forward` runs, as `taps.py` does for transformers.

For the time of one forward, each down block and the mid block stands inside a module that hands everything through
and keeps what is asked for. The last block used leaves the forward, so that nothing behind it runs or has to be loaded;
or the forward runs whole.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dina_lrm.backbones.taps import BlockScope, TappedRun


def run_tapped_unet(
    unet: nn.Module,
    arguments: dict[str, Any],
    *,
    depth: int,
    taps: set[int],
    scope: BlockScope,
    gradient_checkpointing: bool = False,
    whole: bool = False,
) -> TappedRun:
    """Call `unet(**arguments)` up to block `depth` (down blocks, then the mid block); outputs are maps (b, c, h, w).

    `whole`: the forward runs to its end, and recomputes what the U-Net's owner chose.
    A down block's map is what its last layer gives, before it is sampled down. Not to be called from two threads on one
    U-Net, whose blocks it swaps.
    """
    down, mid = unet.get_submodule("down_blocks"), unet.get_submodule("mid_block")
    assert isinstance(down, nn.ModuleList) and 1 <= depth <= len(down) + 1
    originals = [*down, mid][:depth]
    run = _Run(depth, frozenset(taps), scope, gradient_checkpointing and not whole, whole)
    tapped = [_TappedBlock(block, i + 1, run) for i, block in enumerate(originals)]
    behind = [*down][depth:] if run.whole else []
    unet.down_blocks = nn.ModuleList([*tapped[: len(down)], *behind])
    unet.mid_block = tapped[-1] if depth > len(down) else mid
    result = None
    try:
        result = unet(**arguments)
    except _Stop:
        pass
    else:
        assert run.whole, f"{type(unet).__name__}.forward never called its block {depth}"
    finally:
        unet.down_blocks = down
        unet.mid_block = mid
        run.open = False
    return TappedRun(run.inputs, run.outputs, result=result)


class _Run:
    """What one forward is to do, and what it found."""

    def __init__(
        self, depth: int, taps: frozenset[int], scope: BlockScope, gradient_checkpointing: bool, whole: bool
    ) -> None:
        self.depth, self.taps, self.scope = depth, taps, scope
        self.gradient_checkpointing, self.whole = gradient_checkpointing, whole
        self.open = True
        """False after the first pass, so that recomputation leaves nothing behind."""
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[int, Tensor] = {}


class _TappedBlock(nn.Module):
    """A block that runs in the run's scope and reports to it; `position` counts from 1."""

    def __init__(self, block: nn.Module, position: int, run: _Run) -> None:
        super().__init__()
        self.block = block
        self.position = position
        self.run = run
        # The forward of a U-Net asks its blocks whether they take the text; those without attention do not say
        self.has_cross_attention = bool(vars(block).get("has_cross_attention", False))
        self.training = block.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the block's own signature, handed through
        if self.position == 1 and self.run.open:
            signature = inspect.signature(type(self.block).forward)
            self.run.inputs = signature.bind(self.block, *args, **kwargs).arguments
        if self.run.gradient_checkpointing:
            outputs = checkpoint(self._scoped, *args, use_reentrant=False, **kwargs)
        else:
            outputs = self._scoped(*args, **kwargs)
        if self.position in self.run.taps and self.run.open:
            self.run.outputs[self.position] = _end_of_resolution(self.block, outputs)
        if self.position == self.run.depth and not self.run.whole:
            raise _Stop
        return outputs

    def _scoped(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        own = nullcontext() if self.run.whole else _own_checkpointing_off(self.block)
        with self.run.scope(self.block), own:
            return self.block(*args, **kwargs)


class _Stop(BaseException):
    """Leaves the U-Net's forward. No Exception, so that no handler on the way takes it for an error."""


def _end_of_resolution(block: nn.Module, outputs: Tensor | tuple[Tensor, Sequence[Tensor]]) -> Tensor:
    if isinstance(outputs, Tensor):
        return outputs
    _, states = outputs
    # A down block lists the map of each layer, and behind them that of its downsampler
    return states[-1] if vars(block)["_modules"].get("downsamplers") is None else states[-2]


@contextmanager
def _own_checkpointing_off(block: nn.Module) -> Iterator[None]:
    """A generator's own checkpointing would recompute layers outside of our scope; ours repeats whole blocks."""
    switched = [module for module in block.modules() if vars(module).get("gradient_checkpointing")]
    try:
        for module in switched:
            vars(module)["gradient_checkpointing"] = False
        yield
    finally:
        for module in switched:
            vars(module)["gradient_checkpointing"] = True
