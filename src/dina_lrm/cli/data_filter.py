"""`dina-lrm data filter`: the comparisons worth training on, and what was left out and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import FlagCreatePairsOff, Positional

from dina_lrm.cli.common import CommandFailed, CommonArguments, ReportProgress, UserError, console, progress
from dina_lrm.cli.data_check import mapping, named_source, say_left_out
from dina_lrm.runs.places import check_file
from dina_lrm.screen import table_of

if TYPE_CHECKING:
    from rich.table import Table

    from dina_lrm.data.comparison import Comparison
    from dina_lrm.data.filtering import Filter, Filtered, Scores
    from dina_lrm.evaluation.named_sets import NamedSet


@dataclass
class Arguments(CommonArguments):
    """Write the comparisons of a file or a published data set that pass all filters asked for, as a file of ours.

    Filters run in the order in which they are listed below; each sees what those before it kept, and says what it
    removed and why. MPCF keeps a pair when the labelled winner is also ahead by the rewards that are named, which are
    computed here.

    Examples:
        dina-lrm data filter comparisons.jsonl --out kept.jsonl --deduplicate --pairs-per-prompt 3
        dina-lrm data filter hpdv3 --path HPDv3 --split train --not-in hpdv3:test=HPDv3 --mpcf default --clip clip
            --out kept.jsonl
    """

    source: Positional[str]
    """A file of comparisons, or a data set, as for `data check`."""
    out: Path
    """The file to write: .jsonl, .csv, or .parquet (which holds images that the source holds); it must not exist."""
    path: Path | None = None
    """Where the data set is: its folder, or a table. Without it, genai-bench and pick-a-pic are streamed."""
    split: str | None = None
    """Which split of the data set is read; by default its test split."""
    images: Path | None = None
    """Folder that image paths are relative to, when it is not that of the table."""
    seed: int = 0
    """Of the coin that decides which image of a published pair is called the first."""
    ignore_columns: list[str] = field(default_factory=list)
    """Columns of a file of ours to leave out."""
    columns: str | None = None
    """Where our columns stand in a table with others, as for `data check`."""
    drop_ties: FlagCreatePairsOff[bool] = False
    """Leave out labels of exactly 1/2."""
    min_confidence: float | None = None
    """Least confidence of the data set in its own label; pairs without one are kept."""
    require_confidence: FlagCreatePairsOff[bool] = False
    """With --min-confidence: leave out pairs without one."""
    min_votes: int | None = None
    """Least number of people who judged a pair; pairs that do not say are left out."""
    min_agreement: float | None = None
    """Least share of the majority, in [0.5, 1]."""
    not_in: str | None = None
    """Test sets whose prompts and images must not occur, with commas between them: a file, or hpdv3:test=PATH.
    Images are compared by the content of their files."""
    deduplicate: FlagCreatePairsOff[bool] = False
    """One judgement of two images for a prompt, the first."""
    mpcf: Literal["strict", "default", "loose"] | None = None
    """Multi-preference consistent filtering: how far behind on aesthetics a winner may be (0, 0.5, 1)."""
    aesthetic: str | None = None
    """Reward of MPCF for aesthetics, by name as for `evaluate`; its gaps are on the scale of the LAION predictor."""
    clip: str | None = None
    """Reward of MPCF for image-text alignment, such as clip."""
    vqa: str | None = None
    """Second reward of MPCF for image-text alignment, such as vlm:MODEL."""
    pairs_per_prompt: int | None = None
    """At most so many pairs of one prompt, the first that come."""

    def claims(self) -> Path:
        """Where the results go."""
        return self.out


def run(arguments: Arguments) -> dict[str, object]:
    """Score what the cheap filters keep where MPCF asks for it, filter, write, and say what was removed."""
    from dina_lrm.data.filtering import Filtered
    from dina_lrm.data.sources import tables_left_out, write_comparisons
    from dina_lrm.data.sources.writing import check_format

    check_format(arguments.out)
    if arguments.out.exists():
        raise UserError(f"--out {arguments.out}: exists already; give another file, or remove it first")
    check_file("--out", arguments.out)
    tests = _checked(arguments)
    _filters(arguments, (), None)  # refuses numbers before anything is read
    scores = _scores(arguments, tests)
    kept = Filtered(_comparisons(arguments), _filters(arguments, tests, scores))
    written = write_comparisons(arguments.out, kept)
    report = kept.report()
    shown = console(arguments.quiet)
    shown.print(_table(arguments.source, kept))
    unread = tables_left_out(*named_source(arguments.source, arguments.path), arguments.split)
    say_left_out(unread, shown)
    result: dict[str, object] = {
        "out": arguments.out,
        "tables_left_out": unread,
        "seen": report[0].seen,
        "kept": written,
        "filters": [asdict(row) for row in report],
    }
    if written == 0:
        raise CommandFailed(
            f"{arguments.source}: no comparison is left of {report[0].seen}; {arguments.out} is empty", result
        )
    shown.print(f"{written} of {report[0].seen} comparisons are in {arguments.out}")
    return result


def _checked(arguments: Arguments) -> tuple[NamedSet, ...]:
    """The test sets that are named; raises UserError for options that do not fit each other."""
    from dina_lrm.evaluation.named_sets import named_sets

    rewards = _rewards(arguments)
    if rewards and arguments.mpcf is None:
        raise UserError(f"--{next(iter(rewards))}: is a reward of MPCF; give --mpcf strict, default or loose too")
    if arguments.mpcf is not None and not rewards:
        raise UserError("--mpcf: by which rewards? Give one or more of --aesthetic, --clip, --vqa")
    if arguments.require_confidence and arguments.min_confidence is None:
        raise UserError("--require-confidence: give --min-confidence too")
    tests = named_sets(arguments.not_in, None, "ours", "--not-in") if arguments.not_in is not None else ()
    unread = [named.word for named in tests if named.source is None]
    if unread:
        raise UserError(f"--not-in {unread[0]}: accepted are files of comparisons, and hpdv3:test=PATH")
    asked = (arguments.drop_ties, arguments.deduplicate, bool(tests), arguments.mpcf is not None)
    limits = (arguments.min_confidence, arguments.min_votes, arguments.min_agreement, arguments.pairs_per_prompt)
    if not any(asked) and all(limit is None for limit in limits):
        raise UserError("no filter was asked for; see dina-lrm data filter --help")
    return tests


def _rewards(arguments: Arguments) -> dict[str, str]:
    given = {"aesthetic": arguments.aesthetic, "clip": arguments.clip, "vqa": arguments.vqa}
    return {name: reward for name, reward in given.items() if reward is not None}


def _comparisons(arguments: Arguments) -> Iterator[Comparison]:
    from dina_lrm.data.sources import read_comparisons

    source, path = named_source(arguments.source, arguments.path)
    given = (arguments.ignore_columns, arguments.split, arguments.images, arguments.seed)
    return read_comparisons(path, source, *given, mapping(arguments.columns, source))


def _cheap(arguments: Arguments, tests: Iterable[NamedSet]) -> list[Filter]:
    """New filters, which remember one pass: those that need no score."""
    from dina_lrm.data.filtering import Deduplicate, DropTies, MinimumConfidence, MinimumVotes, NotIn
    from dina_lrm.data.sources import read_comparisons

    found: list[Filter] = [DropTies()] if arguments.drop_ties else []
    if arguments.min_confidence is not None:
        found.append(MinimumConfidence(arguments.min_confidence, arguments.require_confidence))
    if arguments.min_votes is not None or arguments.min_agreement is not None:
        agreement = 0.5 if arguments.min_agreement is None else arguments.min_agreement
        found.append(MinimumVotes(1 if arguments.min_votes is None else arguments.min_votes, agreement))
    for named in tests:
        assert named.source is not None
        found.append(NotIn(read_comparisons(named.path, named.source, split=named.split), f"leakage, {named.name}"))
    return [*found, Deduplicate()] if arguments.deduplicate else found


def _filters(arguments: Arguments, tests: Iterable[NamedSet], scores: dict[str, Scores] | None) -> list[Filter]:
    from dina_lrm.data.filtering import ConsistentPreference, PairsPerPrompt

    found = _cheap(arguments, tests)
    if scores and arguments.mpcf is not None:
        found.append(ConsistentPreference.of(**scores, strength=arguments.mpcf))
    return found if arguments.pairs_per_prompt is None else [*found, PairsPerPrompt(arguments.pairs_per_prompt)]


def _scores(arguments: Arguments, tests: tuple[NamedSet, ...]) -> dict[str, Scores]:
    """What each reward of MPCF says of the images that the cheap filters keep."""
    if arguments.mpcf is None:
        return {}
    from dina_lrm.data.filtering import Filtered
    from dina_lrm.rewards.image_scores import score_images
    from dina_lrm.rewards.names import load_reward

    rewards = {name: load_reward(reward) for name, reward in _rewards(arguments).items()}
    total = sum(1 for _ in Filtered(_comparisons(arguments), _cheap(arguments, tests)))
    scores: dict[str, Scores] = {}
    for name, reward in rewards.items():
        kept = Filtered(_comparisons(arguments), _cheap(arguments, tests))
        with progress(f"scoring by {reward.name}", arguments.quiet) as report:
            scores[name] = score_images(_told(kept, total, report), reward)
    return scores


def _told(comparisons: Iterable[Comparison], total: int, report: ReportProgress) -> Iterator[Comparison]:
    for number, comparison in enumerate(comparisons, start=1):
        yield comparison
        report(number, total)


def _table(title: str, kept: Filtered) -> Table:
    rows = [
        (row.name, row.seen, row.removed, ", ".join(f"{why} ({count})" for why, count in row.reasons.items()) or "-")
        for row in kept.report()
    ]
    return table_of(("filter", "seen", "removed", "why"), rows, title)
