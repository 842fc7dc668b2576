"""A new environment with the wheel and what it requires, and nothing else: no extras, no tools of development.

Installing half a gigabyte again for a test would take minutes: the distributions that the wheel requires, and those
that they require, are linked from the environment of the tests; the wheel is built and installed by pip.
"""

import re
import subprocess
import sys
import venv
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def new_environment(folder: Path) -> Path:
    """Make it in `folder`; returns its folder of programs."""
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    for found in required("dina-lrm"):
        link(found, packages)
    wheel = built_wheel(folder / "wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    return folder / "bin"


def built_wheel(folder: Path) -> Path:
    """The wheel of this tree, built by pip."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def required(name: str) -> list[Distribution]:
    """Every distribution that one requires, directly or not, without its own."""
    found: dict[str, Distribution] = {}
    waiting = [(name, frozenset[str]())]
    seen = set(waiting)
    while waiting:
        each, extras = waiting.pop()
        try:
            dist = distribution(each)
        except PackageNotFoundError:  # the requirement of another system
            continue
        found[plain(each)] = dist
        for text in dist.requires or ():
            need = Requirement(text)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras or {""}):
                asked = (plain(need.name), frozenset(need.extras))
                if asked not in seen:
                    seen.add(asked)
                    waiting.append(asked)
    del found[plain(name)]
    return list(found.values())


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def link(dist: Distribution, packages: Path) -> None:
    """Link what a distribution has at the top of its site-packages; namespaces that several fill are merged."""
    for top in {file.parts[0] for file in dist.files or () if file.parts[0] not in ("..", "__pycache__")}:
        source, target = Path(str(dist.locate_file(top))), packages / top
        if target.is_symlink() and target.resolve() != source.resolve():
            raise AssertionError(f"{top} is of two distributions")
        if not target.exists():
            target.symlink_to(source)
