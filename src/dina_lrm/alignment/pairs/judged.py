"""Pictures that were judged alone, as a table has them: liked or not, kept or rejected, or rated.

| columns | a row is liked where |
|---|---|
| prompt, image, liked (kept, chosen, good, accepted, label) | it says true, 1, yes, liked, kept, good, up, ... |
| prompt, image, rating (or score, stars) | the rating is at least what was asked for |

So are the two pictures of a pair that people called bad both, in a store of votes: neither is liked.

A picture judged alone is a comparison of it with itself whose preference is 1 where it is liked and 0 where it is not:
so it is encoded, counted and left out as all others are. What learns from pairs leaves such comparisons out.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources.called import column_called
from dina_lrm.data.sources.columns import REQUIRED
from dina_lrm.data.sources.fields import ReadOptions, image_value
from dina_lrm.data.sources.layouts import recognised
from dina_lrm.data.sources.layouts.layout import askable
from dina_lrm.data.sources.own_values import number_value, optional_values
from dina_lrm.data.sources.rows import Row
from dina_lrm.data.sources.tables import FORMATS, scan_rows
from dina_lrm.data.sources.vote_rows import voted_picture
from dina_lrm.data.votes.shares import bad_pairs
from dina_lrm.data.votes.store import VoteStore
from dina_lrm.data.votes.trust import weighed
from dina_lrm.typed import DinaError

LIKED: Final = ("liked", "kept", "chosen", "good", "accepted", "label")
ROLES: Final = ("image", "liked", "rating")
"""What may be mapped beside the columns of comparisons."""
RATED: Final = ("rating", "score", "stars")
_YES: Final = frozenset({"true", "1", "1.0", "yes", "liked", "like", "kept", "keep", "good", "accepted", "up"})
_log = logging.getLogger(__name__)
_NO: Final = frozenset({"false", "0", "0.0", "no", "disliked", "dislike", "rejected", "reject", "bad", "down"})


def is_judged(path: Path, columns: Mapping[str, str] | None = None) -> bool:
    """Whether a file is a table of pictures judged alone: one picture a row, and a column that says how."""
    if not path.is_file() or path.suffix.lower() not in FORMATS:
        return False
    first = next(iter(scan_rows(path)), None)
    if first is None or first.fault is not None:
        return False
    values = first.parsed()
    if {*ROLES} & {*(columns or {})}:
        return True
    pairs = all(name in values for name in REQUIRED) or recognised(values) is not None
    return not pairs and _judgement(values, {}) is not None


def judged_comparisons(
    path: Path, liked_from: float | None, columns: Mapping[str, str] | None = None
) -> Iterator[Comparison]:
    """A comparison of each picture with itself; ratings of at least `liked_from` are liked.

    Raises ValueError naming file and row for what is no judgement, and for ratings without `liked_from`.
    """
    for row in scan_rows(path):
        try:
            yield _judged(row, liked_from, columns or {})
        except (ValueError, OverflowError) as error:
            raise DinaError(f"{row.where}: {str(error).removeprefix(f'{row.where}: ')}") from error


def called_bad(store: Path) -> Iterator[Comparison]:
    """Each picture of each pair of a store of votes that was called bad both, as one that is not liked.

    It weighs what those who said so weigh among all who answered on the pair. Raises DinaError for no store of votes.
    """
    with VoteStore.read(store) as votes:
        log = weighed(votes.log(), votes.pairs(), votes.settings)
        found = bad_pairs(log, votes.settings.questions[0].id)
        number = sum(one.votes for one in found)
        _log.info("%s: %d votes that both are bad, on %d pairs: neither picture is liked", store, number, len(found))
        for bad in found:
            for side, content in (("a", bad.pair.image_a), ("b", bad.pair.image_b)):
                picture = voted_picture(votes, content, f"{store}, pair {bad.pair.id}, image_{side}")
                source, name = bad.pair.source or "votes", f"{bad.pair.id}:{side}"
                yield Comparison(
                    bad.pair.prompt, picture, picture, 0.0, bad.weight, source=source, pair_id=name, votes=bad.votes
                )


def _judged(row: Row, liked_from: float | None, columns: Mapping[str, str]) -> Comparison:
    values = row.parsed()
    prompt, image = (column_called("the row", values, role, columns) for role in ("prompt", "image"))
    kind, column = _judgement(values, columns) or ("", "")
    if not kind:
        raise DinaError(f"no judgement among {', '.join(values)}; accepted: a column {', '.join((*LIKED, *RATED))}")
    liked = _liked(values[column], column) if kind == "liked" else _rated(values[column], column, liked_from)
    picture = image_value(values[image], image, row, ReadOptions(row.path, row.path.parent))
    return Comparison(str(values[prompt]), picture, picture, float(liked), **_optional(values))


def _optional(values: Mapping[str, Any]) -> dict[str, Any]:
    found = optional_values({name: value for name, value in values.items() if name not in ("votes", "confidence")})
    return {name: value for name, value in found.items() if name not in ("votes", "confidence")}


def _judgement(values: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[str, str] | None:
    """Which column says how a picture was judged, and of which kind it is."""
    kinds = {"liked": "liked", "rating": "rated"}
    mapped = next(((kind, columns[role]) for role, kind in kinds.items() if role in columns), None)
    if mapped is not None:
        if mapped[1] not in values:
            raise DinaError(f"no column {mapped[1]!r} for the judgement; found: {', '.join(map(str, values))}")
        return mapped
    by_name = askable([str(name) for name in values])
    for kind, names in (("liked", LIKED), ("rated", RATED)):
        found = next((by_name[name] for name in names if name in by_name), None)
        if found is not None:
            return kind, found
    return None


def _liked(value: object, column: str) -> bool:
    said = str(value).strip().casefold()
    if said in _YES or said in _NO:
        return said in _YES
    raise DinaError(f"{column} is {value!r:.60}; accepted: one of {', '.join(sorted(_YES | _NO))}")


def _rated(value: object, column: str, liked_from: float | None) -> bool:
    found = number_value(value, column, "a number")
    if not math.isfinite(found):
        raise DinaError(f"{column} is {value!r:.60}; accepted: a finite number")
    if liked_from is None:
        raise DinaError(f"{column} is {found:g}, a rating; accepted with --dpo.liked-from, the least that is liked")
    return found >= liked_from
