"""The published architecture at its real size, with random weights: `python -m benchmarks full_size WHAT [...]`.

`pipeline` writes the generator's folder (16 GB); what the others measure is said in their first lines, or by `--help`.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module

HELPERS = ("ours", "processes", "released")


def main(argv: Sequence[str]) -> None:
    """Run one of the modules in this folder with the rest of the words."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in HELPERS)
    if not argv or argv[0] not in names:
        sys.exit(f"full_size {argv[0] if argv else '(nothing)'!r}; accepted: {', '.join(names)}")
    import_module(f"{__name__}.{argv[0]}").main(list(argv[1:]))
