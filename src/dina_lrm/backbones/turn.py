"""One thread at a time on a model whose blocks, adapters or train flags are switched while it runs.

The turn belongs to the module that is switched, not to the one who asks: two reward models that share a generator wait
for each other, and for steps of `Generator`. A thread that has the turn may take it again.
"""

from threading import Lock, RLock
from weakref import WeakKeyDictionary

from torch import nn

_turns: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()
_asking = Lock()


def turn(module: nn.Module) -> RLock:
    """The lock of `module`, the same for all who ask; held outside of it, so that modules can be copied and stored."""
    with _asking:
        return _turns.setdefault(module, RLock())
