"""All benchmarks, or those named: `python -m benchmarks [NAME [OPTION ...] ...]`. A module with `main` in this folder
is one, and what follows its name, up to the next name, is its own.

Those that take an hour and more, and those that need an extra, run only where they are named.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from pathlib import Path

HELPERS = ("__main__", "fuzzing", "load", "measuring")
LONG = ("collecting", "full_size", "fuzz", "many_machines", "prepare_kills", "prepare_processes", "serving_fuzz")


def main(chosen: list[str]) -> None:
    """Run each in turn, with its default sizes where nothing else is said."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    names = [name for name in names if name not in HELPERS]
    if chosen and chosen[0] not in names:
        sys.exit(f"benchmark {chosen[0]!r}; accepted: {', '.join(names)}")
    asked: list[list[str]] = []
    for word in chosen:
        # Of one that takes options, these may be called as another benchmark is
        if word in names and (not asked or asked[-1][0] != "full_size"):
            asked.append([word])
        else:
            asked[-1].append(word)
    for name, *options in asked or [[name] for name in names if name not in LONG]:
        print(f"== {name}", flush=True)
        import_module(f"benchmarks.{name}").main(options)


if __name__ == "__main__":
    main(sys.argv[1:])
