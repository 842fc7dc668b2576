"""All benchmarks, or those named: `python -m benchmarks [NAME ...]`. A module with `main` in this folder is one.

Those that take an hour and more run only where they are named.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from pathlib import Path

HELPERS = ("__main__", "fuzzing", "load", "measuring")
LONG = ("fuzz", "serving_fuzz")


def main(chosen: list[str]) -> None:
    """Run each in turn, with its default sizes."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    names = [name for name in names if name not in HELPERS]
    unknown = [name for name in chosen if name not in names]
    if unknown:
        sys.exit(f"benchmark {unknown[0]!r}; accepted: {', '.join(names)}")
    for name in chosen or [name for name in names if name not in LONG]:
        print(f"== {name}", flush=True)
        import_module(f"benchmarks.{name}").main([])


if __name__ == "__main__":
    main(sys.argv[1:])
