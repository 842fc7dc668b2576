"""Score the pictures of a folder and show them from best to worst."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dina_lrm.ranking.links import Links, check_links, write_links
from dina_lrm.ranking.settings import ANY_PROMPT, RankSettings
from dina_lrm.reports.pages import check_page_place
from dina_lrm.reports.ranked.page import verdict, write_ranking
from dina_lrm.reports.ranked.thumbnails import INSIDE_UP_TO, check_thumbnails, pictures_beside
from dina_lrm.rewards.scoring.files import ScoreSummary, score_by
from dina_lrm.rewards.scoring.formats import FORMATS
from dina_lrm.rewards.scoring.judging import scorer_named
from dina_lrm.rewards.scoring.log import ScoreLog
from dina_lrm.rewards.scoring.prompts import NoPromptsError
from dina_lrm.rewards.scoring.ranking import Ranking, ranking_of
from dina_lrm.rewards.scoring.rows import ScoreRows, read_score_rows
from dina_lrm.runs.lock import one_writer
from dina_lrm.runs.progress import TitledProgress, silent
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class RankResult:
    """The pictures in their order, the page that shows them, and what is to be said."""

    ranking: Ranking
    page: Path
    scores: Path
    summary: ScoreSummary
    links: Links | None
    notes: tuple[str, ...]

    def told(self) -> list[str]:
        """What was found and where it is, a sentence a line."""
        links = [] if self.links is None else [self.links.told()]
        return [verdict(self.ranking), f"page: {self.page}", *links, *self.notes]

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a command's JSON."""
        links = None if self.links is None else {**vars(self.links), "folder": str(self.links.folder)}
        places = {"page": str(self.page), "scores": str(self.scores), "links": links}
        return {**places, "notes": list(self.notes), **self.ranking.to_dict()}


def rank(
    folder: Path | str,
    model: str = "synthetic",
    prompt: str | None = None,
    out: Path | str = "ranking.html",
    links: Path | str | None = None,
    **settings: Any,  # noqa: ANN401 - fields of RankSettings, which refuses others
) -> RankResult:
    """Score the pictures of a folder and write them from best to worst as one page.

    `model` is a reward model ("synthetic", a folder, a hub id) or a reward by name ("sharpness", "clip:MODEL");
    `prompt` is one text for all pictures, in the place of the captions beside them; `links` is a folder to fill with
    numbered links. Further settings are those of `RankSettings`. Raises DinaError for what cannot be ranked.
    """
    given = RankSettings(Path(folder), Path(out), model, prompt, None if links is None else Path(links), **settings)
    return ranked(given)


def ranked(settings: RankSettings, progress: TitledProgress = silent, command: str = "") -> RankResult:
    """Rank as `rank` does, by settings; `command` is shown on the page."""
    rows, notes = rows_of(settings.folder, settings.prompt)
    if settings.links is not None:
        check_links(settings.links, settings.folder)
    _check_page(settings.out, settings.folder, len(rows))
    dtype = None if settings.dtype == "auto" else getattr(torch, settings.dtype)
    scorer, made_by = scorer_named(
        settings.model,
        seed=settings.seed,
        device=settings.device,
        dtype=dtype,
        encoders=settings.encoders,
        t5_weights=settings.t5_weights,
    )
    scores = settings.scores
    scores.absolute().parent.mkdir(parents=True, exist_ok=True)
    with one_writer(scores):
        anew = ScoreLog.begin_anew_where_other(scores, made_by)
    with progress("scoring") as report:
        summary = score_by(scorer, rows, scores, made_by, settings.batch_size, report)
    ranking = ranking_of(rows, FORMATS[".csv"].read(scores))
    notes += [f"{scores}: began anew, as its scores were made with other settings"] if anew else []
    notes += [*filter(None, [rows.note]), *summary.notes()]
    title = f"{settings.folder.resolve().name}, best to worst"
    page = write_ranking(settings.out, ranking, settings.model, notes, command, title)
    links = None if settings.links is None else write_links(settings.links, ranking.pictures)
    return RankResult(ranking, page, scores, summary, links, (*notes, *_counted(ranking, page)))


def rows_of(folder: Path, prompt: str | None) -> tuple[ScoreRows, list[str]]:
    """The pictures with their prompts: the one given, their captions, or else `ANY_PROMPT`; and what is to be said."""
    if prompt is not None:
        rows = read_score_rows(folder, prompt)
        return rows, _left_out(rows)
    try:
        rows = read_score_rows(folder)
    except NoPromptsError:
        rows = read_score_rows(folder, ANY_PROMPT)
        return rows, [f"no prompt and no captions: all pictures are scored for “{ANY_PROMPT}”", *_left_out(rows)]
    return rows, _left_out(rows)


def _left_out(rows: ScoreRows) -> list[str]:
    """Say how what is ranked and what is not make up all that was found."""
    scan = rows.scan
    captions = f"{scan.beside} files of captions read; " if scan.beside else ""
    return [f"{scan.found} files and folders found; {captions}{scan.told()}"] if scan.left_out else []


def _check_page(page: Path, pictures: Path, count: int) -> None:
    """Refuse, before anything is computed, a page that cannot be written, or whose own pictures would be ranked."""
    check_page_place(page)
    check_thumbnails(page, count)
    if count > INSIDE_UP_TO and pictures.is_dir() and page.resolve().is_relative_to(pictures.resolve()):
        raise DinaError(
            f"{page}: lies in {pictures}; accepted: a page elsewhere, as the small pictures of more than "
            f"{INSIDE_UP_TO:,} are files beside it"
        )


def _counted(ranking: Ranking, page: Path) -> list[str]:
    """What is to be said of how many pictures there are."""
    found = []
    if ranking.without_score:
        name, error = ranking.without_score[0]
        found.append(f"{len(ranking.without_score)} without a score, such as {name}: {error}")
    if len(ranking.pictures) > INSIDE_UP_TO:
        beside = pictures_beside(page)
        found.append(f"{len(ranking.pictures):,} small pictures are files in {beside}: they belong to the page")
    return found
