"""Make a module that somebody else owns compute with one adapter alone, for a while, and put everything back.

What "everything" is: for every adapter layer, which adapters are active and whether they are disabled; `requires_grad`
of every parameter; train or eval of every module. PEFT's own switches change several of these at once (`set_adapter`
makes parameters trainable), so the state is written and restored field by field.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from dina_lrm.backbones.placement import inner_modules
from dina_lrm.typed import DinaError

_selected: WeakKeyDictionary[nn.Module, "AdapterScope"] = WeakKeyDictionary()
"""Whose turn it is on a module, so that two reward models may share one generator."""


@dataclass(frozen=True)
class ModuleState:
    """Adapter choice, `requires_grad` and train flags of a module and everything in it."""

    layers: list[tuple[BaseTunerLayer, str | list[str], bool]]
    trainable: list[tuple[nn.Parameter, bool]]
    training: list[tuple[nn.Module, bool]]

    @classmethod
    def of(cls, module: nn.Module) -> "ModuleState":
        """The present state of `module`."""
        inner = inner_modules(module)
        parameters = [p for m in inner for p in m._parameters.values() if p is not None]
        return cls(
            [(m, m._active_adapter, m._disable_adapters) for m in inner if isinstance(m, BaseTunerLayer)],
            [(parameter, parameter.requires_grad) for parameter in parameters],
            [(m, m.training) for m in inner],
        )

    def restore(self) -> None:
        """Write the state back to the same layers, parameters and modules."""
        for layer, active, disabled in self.layers:
            layer._active_adapter, layer._disable_adapters = active, disabled
        for parameter, requires_grad in self.trainable:
            if parameter.requires_grad is not requires_grad:
                parameter.requires_grad = requires_grad
        for module, training in self.training:
            if module.training is not training:
                module.training = training


class AdapterScope:
    """The right to run `owner` with the adapters `names` alone (none given: with no adapter at all)."""

    def __init__(self, owner: nn.Module, *names: str) -> None:
        self.owner = owner
        self.names = names

    @contextmanager
    def entered(self, part: nn.Module | None = None, training: bool = False) -> Iterator[None]:
        """Run `part` of the owner (default: all of it) with these adapters alone, frozen weights and no dropout.

        The adapters' own parameters keep their `requires_grad`, and their dropout is on when `training`. Free when it
        is already this scope's turn. Raises ValueError when another adapter is merged into the weights.
        """
        if _selected.get(self.owner) is self:
            yield
            return
        scope = self.owner if part is None else part
        before, previous = ModuleState.of(scope), _selected.get(self.owner)
        refuse_merged(before)
        try:
            _selected[self.owner] = self
            self._select(before, training)
            yield
        finally:
            if previous is None:
                _selected.pop(self.owner, None)
            else:
                _selected[self.owner] = previous
            before.restore()

    def _select(self, state: ModuleState, training: bool) -> None:
        own = own_modules([layer for layer, _, _ in state.layers], *self.names)
        kept = {id(parameter) for module in own for parameter in module.parameters()}
        for parameter, requires_grad in state.trainable:
            if requires_grad and id(parameter) not in kept:
                parameter.requires_grad = False
        for module, was_training in state.training:
            if was_training:
                module.training = False
        for module in own:
            if module.training is not training:
                module.train(training)
        for layer, _, _ in state.layers:
            layer._active_adapter, layer._disable_adapters = list(self.names), False


def own_modules(layers: Sequence[BaseTunerLayer], *names: str) -> list[nn.Module]:
    """The modules that hold the adapters `names` inside their layers: factors and dropout."""
    return [
        container[name]
        for layer in layers
        for container in layer._modules.values()
        if isinstance(container, nn.ModuleDict)
        for name in names
        if name in container
    ]


def adapters_in_use(module: nn.Module) -> list[str]:
    """Adapters that the module computes with as it is: merged into its weights, or active in a layer that has them."""
    found: set[str] = set()
    for layer in inner_modules(module):
        if isinstance(layer, BaseTunerLayer):
            found.update(layer.merged_adapters)
            if not layer.disable_adapters:
                found.update(name for name in layer.active_adapters if own_modules([layer], name))
    return sorted(found)


def refuse_merged(state: ModuleState) -> None:
    """ValueError where an adapter is fused into the weights."""
    merged = sorted({name for layer, _, _ in state.layers for name in layer.merged_adapters})
    if merged:
        raise DinaError(
            f"adapters {merged} are fused into the generator's weights, and the reward model would read the altered "
            "weights; call pipeline.unfuse_lora() before scoring"
        )
