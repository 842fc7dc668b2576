"""`dina-lrm doctor`: what is installed, what the hardware prefers, and whether the bundled model scores right."""

from __future__ import annotations

import platform
from dataclasses import asdict

from dina_lrm import __version__
from dina_lrm.cli.arguments.doctor import Arguments
from dina_lrm.console.common import CommandFailed, console
from dina_lrm.profiling.installation import check_golden, devices, missing_files, missing_of_extras, versions
from dina_lrm.screen import Screen


def run(arguments: Arguments) -> dict[str, object]:
    """Print the report; raises CommandFailed when the bundled model is absent or scores otherwise than it should."""
    screen = console(arguments.quiet)
    found = _show_installation(screen)
    absent = missing_files()
    if absent:
        raise CommandFailed(f"the bundled world is not complete, missing: {', '.join(absent)}", found)
    check = check_golden()
    found["bundled"] = check.to_dict()
    if not check.passed:
        text = f"the bundled model scores {check.scores}, expected {check.golden} to {check.tolerance:g}"
        raise CommandFailed(f"{text}; a library of this installation computes something else", found)
    screen.print(
        f"bundled model: {len(check.scores)} golden scores met to {check.largest_difference:.1e} "
        f"(tolerance {check.tolerance:g})"
    )
    return found


def _show_installation(screen: Screen) -> dict[str, object]:
    libraries, places, extras = versions(), devices(), missing_of_extras()
    screen.print(f"dina-lrm {__version__} on Python {platform.python_version()}, {platform.platform()}")
    screen.print("  ".join(f"{name} {version or 'missing'}" for name, version in libraries.items()))
    for place in places:
        screen.print(f"{place.device}: {place.name}; {place.dtype}, because {place.why}")
    for extra, missing in extras.items():
        screen.print(f"extra {extra}: {'lacks ' + ', '.join(missing) if missing else 'complete'}")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": libraries,
        "devices": [asdict(place) for place in places],
        "extras": extras,
        "bundled": None,
    }
