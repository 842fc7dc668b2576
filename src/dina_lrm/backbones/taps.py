"""Read the states between the blocks of a transformer or U-Net while its own `forward` runs.

A block stands in a slot: a parent module, and the name under which the parent holds it. For the time of one forward,
the slots of the first blocks hold modules that hand everything through, keep the outputs asked for, and leave the
forward behind the last of them. The blocks themselves stay the same objects, so regional compilation, attention
backends, quantisation and gradient checkpointing work as they do in the generator. A whole forward can be read too.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from dina_lrm.backbones.placement import inner_modules

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


def block_names(model: nn.Module, places: Sequence[str]) -> list[str]:
    """Names of blocks in order: each of `places` is a list of them, or a block that stands alone."""
    modules = ((name, model.get_submodule(name)) for name in places)
    return [
        block
        for name, module in modules
        for block in ([f"{name}.{i}" for i in range(len(module))] if isinstance(module, nn.ModuleList) else [name])
    ]


def run_tapped(
    model: nn.Module,
    arguments: dict[str, Any],
    *,
    blocks: Sequence[str],
    taps: Iterable[int],
    scope: BlockScope,
    leading: Sequence[str] = (),
    watched: Sequence[str] = (),
    gradient_checkpointing: bool = False,
    whole: bool = False,
) -> TappedRun:
    """Call `model(**arguments)` until the last of `blocks` has run, and return what blocks gave at `taps`.

    `blocks` are the names of the first blocks, in the order they run; tap n is behind n of them. `leading` are blocks
    that run before and count for nothing; like the others they are called in `scope`. `whole`: the forward runs to its
    end, and recomputes what the model's owner chose, in place of our choice (`gradient_checkpointing`).
    Not to be called from two threads on one model, whose blocks it swaps.
    """
    run = _Run(len(blocks), frozenset(taps), scope, gradient_checkpointing, whole)
    numbered = [(name, 0) for name in leading] + [(name, number) for number, name in enumerate(blocks, 1)]
    tapped = {name: _TappedBlock(model.get_submodule(name), number, run) for name, number in numbered}
    outputs: dict[str, Any] = {}
    result = None
    with ExitStack() as stack:
        if not whole:
            stack.enter_context(_switched_off([model]))
        stack.enter_context(_watching(model, watched, outputs))
        stack.enter_context(_swapped(model, tapped))
        try:
            result = model(**arguments)
        except _Stop:
            pass
        else:
            assert whole, f"{type(model).__name__}.forward never called its block {blocks[-1]!r}"
        finally:
            run.open = False
    return TappedRun(run.inputs, run.outputs, outputs, result)


@dataclass
class _Run:
    """What one forward is to do, and what it found."""

    depth: int
    taps: frozenset[int]
    scope: BlockScope
    gradient_checkpointing: bool
    whole: bool
    open: bool = True
    """False after the first pass, so that recomputation leaves nothing behind."""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[int, Any] = field(default_factory=dict)


class _TappedBlock(nn.Module):
    """A block that runs in the run's scope and reports to it; `number` counts from 1, 0 reports nothing."""

    def __init__(self, block: nn.Module, number: int, run: _Run) -> None:
        super().__init__()
        self.block = block
        self.number = number
        self.run = run
        self.training = block.training
        # A U-Net's blocks have the switch, and so have modules inside; a transformer's have none, and are not searched
        switches = _CHECKPOINTING in vars(block) and not run.whole
        self.recomputing = [m for m in inner_modules(block) if _CHECKPOINTING in vars(m)] if switches else []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """What the forward asks of a block beside calling it (U-Nets: whether it takes the text), the block says."""
        block = self.__dict__["_modules"]["block"]
        return block if name == "block" else getattr(block, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the block's own signature, handed through
        run = self.run
        if run.gradient_checkpointing and not run.whole and torch.is_grad_enabled():
            output = checkpoint(self._scoped, *args, use_reentrant=False, **kwargs)
        else:
            output = self._scoped(*args, **kwargs)
        if run.open and self.number == 1:
            run.inputs = inspect.signature(type(self.block).forward).bind(self.block, *args, **kwargs).arguments
        if run.open and self.number in run.taps:
            run.outputs[self.number] = output
        if self.number == run.depth and not run.whole:
            raise _Stop
        return output

    def _scoped(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with self.run.scope(self.block), _switched_off(self.recomputing) if self.recomputing else nullcontext():
            return self.block(*args, **kwargs)


class _Stop(BaseException):
    """Leaves the model's forward. No Exception, so that no handler on the way takes it for an error."""


class _Slot(NamedTuple):
    """The place of a block: `parent` holds it under `name`."""

    parent: nn.Module
    name: str

    @classmethod
    def of(cls, model: nn.Module, path: str) -> "_Slot":
        parent, _, name = path.rpartition(".")
        return cls(model.get_submodule(parent), name)

    def put(self, block: nn.Module) -> nn.Module:
        """Put `block` there, and return what was there."""
        before = self.parent.get_submodule(self.name)
        setattr(self.parent, self.name, block)
        return before


@contextmanager
def _swapped(model: nn.Module, blocks: Mapping[str, nn.Module]) -> Iterator[None]:
    replaced: list[tuple[_Slot, nn.Module]] = []
    try:
        for path, block in blocks.items():
            slot = _Slot.of(model, path)
            replaced.append((slot, slot.put(block)))
        yield
    finally:
        for slot, block in replaced:
            slot.put(block)


@contextmanager
def _watching(model: nn.Module, names: Sequence[str], outputs: dict[str, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for name in names:

            def keep(module: nn.Module, inputs: Any, output: Any, name: str = name) -> None:  # noqa: ANN401
                outputs[name] = output

            stack.callback(model.get_submodule(name).register_forward_hook(keep).remove)
        yield


_CHECKPOINTING = "gradient_checkpointing"
"""What diffusers calls a module's switch for recomputing its own parts."""


@contextmanager
def _switched_off(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, none of `modules` recomputes its own parts: that is a shared model's choice for its owner's passes."""
    switched = [module for module in modules if vars(module).get(_CHECKPOINTING)]
    try:
        for module in switched:
            vars(module)[_CHECKPOINTING] = False
        yield
    finally:
        for module in switched:
            vars(module)[_CHECKPOINTING] = True
