"""Our own comparison files: the votes of a page come in, and what the votes of a store come to goes out.

Earlier pages of reports, and the former command `vote`, wrote one judgement a line. A line that says more than one
person's answer, such as a share of several, is no vote and left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dina_lrm.collecting.exchange.files import PictureFiles
from dina_lrm.collecting.exchange.given import GivenVote, LeftOut, Said
from dina_lrm.collecting.vote_models.of_store import fit_store
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import read_comparisons
from dina_lrm.data.sources.vote_rows import row_values
from dina_lrm.data.sources.writing import write_comparisons
from dina_lrm.data.votes.shares import Shares, shares
from dina_lrm.data.votes.store import VoteStore
from dina_lrm.data.votes.trust import Weighed, weighed
from dina_lrm.runs.files import write_text
from dina_lrm.typed import DinaError

WEIGHTS: Final = ("trust", "fitted", "equal")
"""By controls as of the vote; by the fitted annotators; all the same."""
_SAID: Final[dict[float, Said]] = {1.0: "first", 0.0: "second", 0.5: "tie"}


def read(path: Path, images: Path | None = None) -> Iterator[GivenVote | LeftOut]:
    """The votes of one person's file of comparisons; a line that was read before is the same vote."""
    for number, one in enumerate(read_comparisons(path, images=images)):
        said = _SAID.get(one.preference)
        pictures = [Path(image) if isinstance(image, str | Path) else image for image in (one.image_a, one.image_b)]
        if said is None or (one.votes or 1) != 1:
            yield LeftOut("of several people")
        elif not all(isinstance(picture, Path | bytes) for picture in pictures):
            yield LeftOut("without pictures")
        else:
            first, second = (picture for picture in pictures if isinstance(picture, Path | bytes))
            yield GivenVote(one.prompt, first, second, said, one.source or path.stem, f"{one.pair_id}:{number}")


def write(store: VoteStore, question: str, path: Path, weights: str = "trust") -> Shares:
    """Write a comparison a pair that has a vote which weighs something; returns what came of all votes.

    Pairs that were called bad both stand beside it, in `NAME.both-bad.jsonl`, as that is no tie. Raises DinaError for
    weights that there are none of.
    """
    if weights not in WEIGHTS:
        raise DinaError(f"weights {weights!r:.60}; accepted: {', '.join(WEIGHTS)}")
    votes = weighed(store.log(), store.pairs(), store.settings)
    found = shares(_reweighed(votes, question, weights), question)
    embed = path.suffix.lower() == ".parquet"
    files = None if embed else PictureFiles(store, path)
    write_comparisons(path, comparisons_of(store, found, files), embed_images=embed)
    bad = [{"pair_id": pair.id, "prompt": pair.prompt, "both_bad": count} for pair, count in found.both_bad]
    if bad:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in bad)
        write_text(path.with_name(f"{path.stem}.both-bad.jsonl"), lines)
    return found


def comparisons_of(store: VoteStore, found: Shares, files: PictureFiles | None = None) -> Iterator[Comparison]:
    """The comparison of each pair; a picture that is gone is named as such, one within the store becomes a file."""
    for share in found.pairs:
        values = row_values(store, share, share.pair.id)
        for name, content in (("image_a", share.pair.image_a), ("image_b", share.pair.image_b)):
            if files is not None and isinstance(values[name], bytes):
                values[name] = files.path(content)
        yield Comparison(**values)


def _reweighed(votes: list[Weighed], question: str, weights: str) -> list[Weighed]:
    if weights == "trust":
        return votes
    if weights == "equal":
        return [Weighed(one.vote, one.pair, 1.0) for one in votes]
    return fit_store(votes, question).reweighed(votes)
