"""Results of a study: results.json, plots, and a page by template, all from cells; nothing on it is typed by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from matplotlib.figure import Figure

from dina_lrm.evaluation.interval import Interval
from dina_lrm.experiments.estimates import as_stored, verdict_of, written
from dina_lrm.reports.drawing import save_figure
from dina_lrm.reports.first.verdicts import findings_verdict
from dina_lrm.reports.pages import template_environment
from dina_lrm.runs.files import write_json, write_text
from dina_lrm.runs.ownership import page_beside
from dina_lrm.typed import DinaError

PLOTS = "plots"
"""The folder of the plots, beside the cells."""


@runtime_checkable
class StudyClaim(Protocol):
    """A finding that cells decide."""

    @property
    def text(self) -> str:
        """What it says, as a sentence."""


ClaimT = TypeVar("ClaimT", bound=StudyClaim)


@dataclass(frozen=True)
class MarkdownTable:
    """Rows of texts under heads; as a string, the lines of the table."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        lines = (f"| {' | '.join(row)} |" for row in self.rows)
        return "\n".join((f"| {' | '.join(self.heads)} |", "|" + "---|" * len(self.heads), *lines))


@dataclass(frozen=True)
class LinkedImage:
    """An image of a page: what it shows, and its file in the study's folder."""

    alt: str
    file: str


@dataclass(frozen=True)
class Part:
    """What a page says of one table or figure of the paper: below its title."""

    title: str
    about: str
    table: MarkdownTable
    images: Sequence[LinkedImage]


class StudyResults(ABC, Generic[ClaimT]):
    """What the cells of a study say, in the forms that `write_results` writes; a subclass for each kind of cell."""

    template: ClassVar[str]
    """The page's file among `reports/templates`."""
    gap_key: ClassVar[str]
    """How results.json calls the number that decides a claim."""
    gap_form: ClassVar[str]
    """The format of that number on the page."""
    percent: ClassVar[bool] = False
    """Whether it is written in hundredths."""

    @abstractmethod
    def is_measured(self, name: str) -> bool:
        """Whether there are cells of that table."""

    @abstractmethod
    def title(self, name: str) -> str:
        """The title of a table."""

    @abstractmethod
    def claims(self, name: str) -> Sequence[ClaimT]:
        """The findings that a table decides."""

    @abstractmethod
    def where(self, name: str) -> str:
        """How a table is called beside its findings."""

    @abstractmethod
    def gap(self, claim: ClaimT) -> Interval | None:
        """The number whose sign decides a claim; None where its cells are not there."""

    @abstractmethod
    def rows(self, name: str) -> dict[str, object]:
        """The numbers of a table as plain values, under "rows" and what else there is."""

    @abstractmethod
    def figures(self, name: str) -> dict[str, Figure]:
        """The plots of a table by the names of their files, without suffix."""

    @abstractmethod
    def part(self, name: str, out: Path) -> Part:
        """What the page says of a table; `out` is the study's folder."""

    @abstractmethod
    def opening(self) -> dict[str, object]:
        """What the template's first paragraphs say of all cells together."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Where the cells were made."""


def write_results(results: StudyResults[ClaimT], out: Path, names: Iterable[str], command: str) -> Path:
    """Write OUT/results.json, OUT/plots and the page OUT.md about the tables that have cells; returns the page.

    `command` writes them again. Raises ValueError where there are no cells.
    """
    names = list(names)
    shown = [name for name in names if results.is_measured(name)]
    if not shown:
        raise DinaError(f"{out / 'cells'} holds no cell of {', '.join(names)}")
    write_json(out / "results.json", {name: _facts(results, name) for name in shown}, indent=1)
    for name in shown:
        for file, figure in results.figures(name).items():
            save_figure(figure, out / PLOTS / f"{file}.png")
    page = page_beside(out)
    write_text(page, page_text(results, out, shown, command))
    return page


def page_text(results: StudyResults[ClaimT], out: Path, shown: Sequence[str], command: str) -> str:
    """The page about the tables `shown`, in Markdown; its plots lie in the folder `out`."""
    template = template_environment().get_template(results.template)
    claims = [_claim(results, name, claim) for name in shown for claim in results.claims(name)]
    text: str = template.render(
        **results.opening(),
        verdict=findings_verdict([claim["verdict"] for claim in claims]),
        command=command,
        out=out,
        folder=out.name,
        claims=claims,
        parts=[results.part(name, out) for name in shown],
        machine=", ".join(f"{key} {value}" for key, value in results.environment().items()),
    )
    return text


def _facts(results: StudyResults[ClaimT], name: str) -> dict[str, object]:
    claims = []
    for claim in results.claims(name):
        gap = results.gap(claim)
        verdict, stored = (None, None) if gap is None else (verdict_of(gap), as_stored(gap))
        claims.append({"text": claim.text, "verdict": verdict, results.gap_key: stored})
    rows = results.rows(name)
    return {"title": results.title(name), "rows": rows.pop("rows"), "claims": claims, **rows}


def _claim(results: StudyResults[ClaimT], name: str, claim: ClaimT) -> dict[str, str]:
    gap = results.gap(claim)
    told = "" if gap is None else written(gap, results.gap_form, results.percent)
    verdict = "not measured" if gap is None else verdict_of(gap)
    return {"text": claim.text, "where": results.where(name), "gap": told, "verdict": verdict}
