"""Pages of mapped weights, given back to the system behind the block that read them.

A text encoder that is mapped from its files grows in resident memory with every layer that runs, up to the whole file,
although one layer is all that is needed at a time. Behind each layer its pages are let go: they stay in the system's
own cache of files for as long as there is room, and come back when they are read again.

Only pages that are a file's and that nobody has written to are let go: letting go of others would lose what they hold.
Where the system does not tell which these are (anything but Linux), nothing is done.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor, nn

_MAPS: Final = Path("/proc/self/maps")
_PAGE_MAP: Final = Path("/proc/self/pagemap")
_DO_NOT_NEED: Final = 4
_PRESENT, _SWAPPED, _OF_A_FILE = (np.uint64(1) << np.uint64(bit) for bit in (63, 62, 61))

Range = tuple[int, int]


def let_pages_go(module: nn.Module) -> int:
    """Let go of the pages of each entry of a list of layers when it has run; how many layers have such pages now."""
    layers = [layer for part in module.modules() if isinstance(part, nn.ModuleList) for layer in part]
    mapped = mappings()
    found = 0
    for layer in layers:
        weights = list(layer.parameters())
        if any(pages_of(weight, mapped) for weight in weights):
            layer.register_forward_hook(_hook(weights), always_call=True)
            found += 1
    return found


def mappings() -> list[Range]:
    """Addresses at which files are mapped privately; none where the system does not tell."""
    if sys.platform != "linux" or not (_MAPS.is_file() and _PAGE_MAP.is_file()):
        return []
    found = []
    for line in _MAPS.read_text(errors="replace").splitlines():
        addresses, mode, _, _, inode, *_ = line.split(maxsplit=5)
        if mode[3] == "p" and inode != "0":
            low, high = addresses.split("-")
            found.append((int(low, 16), int(high, 16)))
    return found


def drop(pages: Range) -> bool:
    """Let go of whole pages of a file's mapping; False where one of them was written to, or nobody can say."""
    low, high = pages
    if high <= low or not _clean(pages):
        return False
    return _madvise()(low, high - low, _DO_NOT_NEED) == 0


def pages_of(weight: Tensor, mapped: list[Range]) -> Range | None:
    """The whole pages of a weight that lies in one of the `mapped` ranges."""
    if weight.device.type != "cpu" or not weight.is_contiguous():
        return None
    low, page = weight.data_ptr(), mmap.PAGESIZE
    high = low + weight.numel() * weight.element_size()
    if not any(start <= low and high <= end for start, end in mapped):
        return None
    low, high = -(-low // page) * page, high // page * page
    return (low, high) if low < high else None


def _hook(weights: list[nn.Parameter]) -> Callable[..., None]:
    """Behind a layer: where its weights lie is asked each time, for they may have been moved."""

    def behind(*_: object) -> None:
        mapped = mappings()
        for weight in weights:
            pages = pages_of(weight, mapped)
            if pages is not None:
                drop(pages)

    return behind


def _clean(pages: Range) -> bool:
    """Whether every page that is in memory is still the file's: a page that was written to is the process's own."""
    low, high = (address // mmap.PAGESIZE for address in pages)
    try:
        told = np.fromfile(_PAGE_MAP, np.uint64, high - low, offset=low * 8)
    except OSError:
        return False
    present = (told & _PRESENT) != 0
    own = present & ((told & _OF_A_FILE) == 0)
    return len(told) == high - low and not own.any() and not (told & _SWAPPED).any()


@cache
def _madvise() -> Callable[[int, int, int], int]:
    function = ctypes.CDLL(None, use_errno=True).madvise
    function.argtypes, function.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_int
    return function
