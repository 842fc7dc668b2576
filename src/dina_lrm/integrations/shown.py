"""What `dina-lrm integrate` shows of a trainer: its row, and the files to put beside it or to paste. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tyro.conf import Positional

from dina_lrm.integrations.table import INTEGRATIONS, Integration, name_of
from dina_lrm.locate import ASSETS
from dina_lrm.runs.ownership import check_replaceable, made_folder
from dina_lrm.runs.places import check_folder
from dina_lrm.typed import DinaError

KIND: Final = "integration"
"""What the marker of a folder of such files says."""
PAGE: Final = "docs/trainers.md"
_FILES: Final = ASSETS / "integrations"


@dataclass(frozen=True)
class IntegrateSettings:
    """Which trainer is shown, and where its files go."""

    trainer: Positional[str] = ""
    """The trainer: one of those that `dina-lrm integrate` alone lists."""
    out: Path | None = None
    """Write the files into this new folder; the folder of an earlier `integrate` that nobody changed is replaced."""

    def check(self) -> None:
        """Refuse a trainer that is none, and a folder in the way. Raises ValueError."""
        if self.trainer:
            name_of(self.trainer)
        if self.out is None:
            return
        if not self.trainer:
            raise DinaError(f"--out {self.out}: no trainer; accepted: one of {', '.join(INTEGRATIONS)}")
        check_folder("--out", self.out)
        check_replaceable(self.out, KIND)


@dataclass(frozen=True)
class Shown:
    """What there is to say: the trainers, and of one that was named the files by name."""

    trainers: Mapping[str, Integration]
    files: Mapping[str, str]
    out: Path | None = None

    def lines(self) -> list[str]:
        """What is printed."""
        if not self.files:
            width = max(map(len, self.trainers))
            listed = [f"{name:<{width}}  {row.about}" for name, row in self.trainers.items()]
            return [*listed, "", f"dina-lrm integrate {next(iter(self.trainers))}: its plug-in and its configuration"]
        (row,) = self.trainers.values()
        return [*self._about(row), *(self._written() if self.out else self._texts())]

    def to_dict(self) -> dict[str, Any]:
        """The same, as plain values."""
        rows = {name: {**vars(row), "module": row.module} for name, row in self.trainers.items()}
        return {"trainers": rows, "files": dict(self.files), "out": self.out}

    def _about(self, row: Integration) -> list[str]:
        return [
            row.about,
            f"plug-in:    {row.plugin}",
            f"latents:    {row.latents}",
            f"embeddings: {row.embeddings}",
            f"called by:  {row.threads}",
            f"an error:   {row.failure}",
            f"more in:    {PAGE}",
        ]

    def _written(self) -> list[str]:
        return ["", *(f"written: {Path(self.out or '') / name}" for name in self.files)]

    def _texts(self) -> list[str]:
        return [line for name, text in self.files.items() for line in ("", f"--- {name}", *text.splitlines())]


def integrate(settings: IntegrateSettings) -> Shown:
    """Read what there is to show, and write the files where that is asked for.

    Raises:
        ValueError: for an unknown trainer, a folder that cannot be written, or that holds something else.
    """
    settings.check()
    if not settings.trainer:
        return Shown(INTEGRATIONS, {})
    name = name_of(settings.trainer)
    files = files_of(name)
    if settings.out is not None:
        with made_folder(settings.out, KIND) as folder:
            for file, text in files.items():
                (folder / file).write_text(text, encoding="utf-8")
    return Shown({name: INTEGRATIONS[name]}, files, settings.out)


def files_of(name: str) -> dict[str, str]:
    """The files of a trainer by name: configurations, and what must lie beside it where there is such."""
    files = sorted(file for file in (_FILES / name).iterdir() if file.is_file())  # beside them pip puts __pycache__
    return {file.name: file.read_text(encoding="utf-8") for file in files}
