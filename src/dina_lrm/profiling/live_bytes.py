"""The most bytes that tensors held at once, on any device: what an allocator's peak is made of."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Inside, every tensor that is made is followed until it is gone; `peak` is the most that was alive at once.

    Weights and buffers of `modules` are there from the start and count once.
    """

    def __init__(self, modules: Iterable[nn.Module] = ()) -> None:
        super().__init__()
        self._followed: set[int] = set()
        self._live = self.peak = 0
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                self._follow(tensor)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operation returns
        """Run the operation and follow what it made."""
        found = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor):
                self._follow(leaf)
        return found

    def _follow(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self._followed:  # a view, or an operation in place
            return
        self._followed.add(storage._cdata)
        self._live += storage.nbytes()
        self.peak = max(self.peak, self._live)
        weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, place: int, held: int) -> None:
        self._followed.discard(place)
        self._live -= held


def peak_bytes(run: Callable[[], object], modules: Iterable[nn.Module], device: torch.device) -> float:
    """The peak while `run` runs twice, so that what the first time makes to stay counts: of the allocator on a GPU,
    where the context's weights count whoever made them; else of the tensors, with the weights of `modules`.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run(), run()
        return float(torch.cuda.max_memory_allocated(device))
    with LiveBytes(modules) as live:
        run(), run()
    return float(live.peak)
