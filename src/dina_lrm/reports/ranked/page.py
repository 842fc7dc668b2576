"""A page of pictures from best to worst, by any reward."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dina_lrm import __version__
from dina_lrm.pictures.names import shown
from dina_lrm.reports.pages import template_environment, write_page
from dina_lrm.reports.ranked.thumbnails import Thumbnail, address_of, thumbnails
from dina_lrm.reports.theme import DARK, LIGHT, css_variables
from dina_lrm.rewards.addresses import without_password
from dina_lrm.rewards.scoring.formats import FORMATS
from dina_lrm.rewards.scoring.ranking import RankedPicture, Ranking, ranking_of
from dina_lrm.rewards.scoring.rows import ScoreRow
from dina_lrm.screen import escaped, number_text
from dina_lrm.typed import DinaError

_LISTED: Final = 100
"""Pictures without a score that a page names; more are counted."""
_PROPOSED: Final = 200
"""Prompts that a page proposes when one types into its filter."""


@dataclass(frozen=True)
class _Card:
    """A picture as the page shows it."""

    rank: int
    name: str
    prompt: int
    score: float
    told: str
    share: float
    own: float
    address: str
    thumbnail: Thumbnail


def write_ranking(
    path: Path | str, ranking: Ranking, model: str, notes: Sequence[str] = (), command: str = "", title: str = ""
) -> Path:
    """Write the page to `path` and return the path; `model` is what scored, `notes` are sentences for the reader.

    Raises DinaError for a ranking without any picture.
    """
    path = Path(path)
    if not ranking.pictures:
        raise DinaError(f"{path}: none of {len(ranking.without_score)} pictures has a score; accepted: one or more")
    prompts = ranking.prompts
    numbers = {prompt: number for number, prompt in enumerate(prompts)}
    small = thumbnails(path, [picture.source for picture in ranking.pictures])
    cards = [_card(path, *pair, numbers) for pair in zip(ranking.pictures, small, strict=True)]
    page = template_environment().get_template("ranking.html.jinja").render(
        title=title or "From best to worst",
        verdict=verdict(ranking),
        model=without_password(model),
        prompts=prompts,
        proposed=prompts[:_PROPOSED],
        cards=cards,
        without=[(shown(name), error) for name, error in ranking.without_score[:_LISTED]],
        without_count=len(ranking.without_score),
        notes=notes,
        command=command,
        version=__version__,
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
    )  # fmt: skip
    write_page(path, page)
    return path


def write_table_page(
    path: Path, rows: Iterable[ScoreRow], table: Path, model: str, notes: Sequence[str], command: str
) -> Path:
    """Write the page of the rows that a table of scores was made for; refused as `write_ranking` refuses."""
    return write_ranking(path, ranking_of(rows, FORMATS[table.suffix.lower()].read(table)), model, notes, command)


def verdict(ranking: Ranking) -> str:
    """Which picture is best and which worst, in a sentence."""
    best, worst = ranking.pictures[0], ranking.pictures[-1]
    count = f"{len(ranking.pictures):,} pictures" if len(ranking.pictures) > 1 else "1 picture"
    of = f"for “{best.prompt}”" if len(ranking.prompts) == 1 else f"for {len(ranking.prompts):,} prompts"
    ends = f"best {_told(best)}" + (f", worst {_told(worst)}" if worst is not best else "")
    return escaped(f"{count} {of}: {ends}.")


def _told(picture: RankedPicture) -> str:
    return f"{shown(picture.image)} ({_score_text(picture.score)})"


def _score_text(score: float) -> str:
    return number_text(score, ".3g" if abs(score) < 100 else ".0f")


def _card(page: Path, picture: RankedPicture, thumbnail: Thumbnail, numbers: dict[str, int]) -> _Card:
    return _Card(
        picture.rank,
        picture.image,
        numbers[picture.prompt],
        picture.score,
        _score_text(picture.score),
        round(picture.percentile, 2),
        round(picture.percentile_of_prompt, 2),
        address_of(page, picture.source),
        thumbnail,
    )
