"""Read the states between a transformer's blocks while its own `forward` runs.

For the time of one forward, the lists of blocks are replaced by their first `depth` blocks, each inside a module that
hands everything through and keeps the outputs asked for; the forward is left when it reaches the module behind them.
The blocks themselves stay the same objects, so regional compilation, attention backends, quantisation and gradient
checkpointing work as they do in the generator. A whole forward can be read too: then all blocks run.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.hooks import RemovableHandle

BlockScope = Callable[[nn.Module], AbstractContextManager[None]]
"""What each call of a block is made in, also when gradient checkpointing repeats the call in the backward pass."""


@dataclass(frozen=True)
class TappedRun:
    """`inputs`: the first block's arguments by name. `outputs`: what a block returned, by the number of blocks run.

    `watched`: what other modules returned, by name. `result`: what a whole forward returned.
    """

    inputs: dict[str, Any]
    outputs: dict[int, Any]
    watched: dict[str, Any] = field(default_factory=dict)
    result: Any = None


def run_tapped(
    transformer: nn.Module,
    arguments: dict[str, Any],
    *,
    blocks: str,
    stop_before: str,
    depth: int,
    taps: Iterable[int],
    scope: BlockScope,
    more_blocks: Sequence[str] = (),
    leading_blocks: Sequence[str] = (),
    watched: Sequence[str] = (),
    gradient_checkpointing: bool = False,
    whole: bool = False,
) -> TappedRun:
    """Call `transformer(**arguments)` up to block `depth`, and return the states at `taps`.

    `whole`: the forward runs to its end, and recomputes what the transformer's owner chose.

    `blocks` and `stop_before` name the list of blocks and the module that the forward calls right behind them.
    `more_blocks` are lists that run behind `blocks`, where the counting goes on; `leading_blocks` run before, whole,
    and count for nothing: like the others they are called in `scope`. Not to be called from two threads on one
    transformer, whose lists of blocks it swaps.
    """
    recorder = _Recorder(frozenset(taps))
    outputs: dict[str, Any] = {}
    wrapped: dict[str, list[nn.Module]] = {
        name: [_TappedBlock(block, 0, recorder, scope) for block in _listed(transformer, name)]
        for name in leading_blocks
    }
    position = 0
    for name in (blocks, *more_blocks):
        every = _listed(transformer, name)
        first = every[: depth - position]
        wrapped[name] = [_TappedBlock(block, position + i, recorder, scope) for i, block in enumerate(first, 1)]
        wrapped[name] += every[len(first) :] if whole else []
        position += len(first)
    assert position == depth
    result = None
    with ExitStack() as stack:
        if not whole:
            stack.enter_context(_checkpointing(transformer, gradient_checkpointing))
            stack.enter_context(_stopping(transformer.get_submodule(stop_before)))
        stack.enter_context(_watching(transformer, watched, outputs))
        stack.enter_context(_swapped(transformer, wrapped))
        try:
            result = transformer(**arguments)
        except _Stop:
            pass
        else:
            assert whole, f"{type(transformer).__name__}.forward never called {stop_before!r}"
        finally:
            recorder.open = False
    assert recorder.inputs is not None
    return TappedRun(recorder.inputs, recorder.outputs, outputs, result)


class _Recorder:
    """Keeps each tapped state of the first pass; closed after it, so that recomputation leaves nothing behind."""

    def __init__(self, taps: frozenset[int]) -> None:
        self.taps = taps
        self.open = True
        self.inputs: dict[str, Any] | None = None
        self.outputs: dict[int, Any] = {}


class _TappedBlock(nn.Module):
    """A block that runs in `scope` and reports to the recorder; `position` counts from 1, 0 reports nothing."""

    def __init__(self, block: nn.Module, position: int, recorder: _Recorder, scope: BlockScope) -> None:
        super().__init__()
        self.block = block
        self.position = position
        self.recorder = recorder
        self.scope = scope
        self.training = block.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the block's own signature, handed through
        with self.scope(self.block):
            outputs = self.block(*args, **kwargs)
        if self.recorder.open:
            if self.position == 1:
                signature = inspect.signature(type(self.block).forward)
                self.recorder.inputs = signature.bind(self.block, *args, **kwargs).arguments
            if self.position in self.recorder.taps:
                self.recorder.outputs[self.position] = outputs
        return outputs


class _Stop(BaseException):
    """Leaves the transformer's forward. No Exception, so that no handler on the way takes it for an error."""


def _listed(transformer: nn.Module, name: str) -> list[nn.Module]:
    blocks = transformer.get_submodule(name)
    assert isinstance(blocks, nn.ModuleList)
    return list(blocks)


@contextmanager
def _swapped(transformer: nn.Module, lists: Mapping[str, Sequence[nn.Module]]) -> Iterator[None]:
    originals = {name: transformer.get_submodule(name) for name in lists}
    try:
        for name, blocks in lists.items():
            setattr(transformer, name, nn.ModuleList(blocks))
        yield
    finally:
        for name, original in originals.items():
            setattr(transformer, name, original)


@contextmanager
def _watching(transformer: nn.Module, names: Sequence[str], outputs: dict[str, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for name in names:

            def keep(module: nn.Module, inputs: Any, output: Any, name: str = name) -> None:  # noqa: ANN401
                outputs[name] = output

            stack.callback(transformer.get_submodule(name).register_forward_hook(keep).remove)
        yield


@contextmanager
def _stopping(module: nn.Module) -> Iterator[None]:
    def stop(module: nn.Module, inputs: Any) -> None:  # noqa: ANN401 - torch's hook signature
        raise _Stop

    handle: RemovableHandle = module.register_forward_pre_hook(stop)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _checkpointing(transformer: Any, enabled: bool) -> Iterator[None]:  # noqa: ANN401 - diffusers' ModelMixin
    """Our own choice for this forward: a shared transformer keeps the generator's choice for the generator."""
    before = transformer.gradient_checkpointing, transformer._gradient_checkpointing_func
    transformer.gradient_checkpointing, transformer._gradient_checkpointing_func = enabled, _recompute
    try:
        yield
    finally:
        transformer.gradient_checkpointing, transformer._gradient_checkpointing_func = before


def _recompute(block: nn.Module, *args: Any) -> Any:  # noqa: ANN401 - the block's own signature, handed through
    return checkpoint(block.__call__, *args, use_reentrant=False)
