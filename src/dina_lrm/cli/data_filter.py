"""`dina-lrm data filter`: the comparisons worth training on, and what was left out and why."""

from __future__ import annotations

from dataclasses import asdict, astuple

from dina_lrm.cards.data_sets import DataSet, filters_table
from dina_lrm.cli.arguments.data_filter import Arguments
from dina_lrm.cli.comparisons import say_left_out, source_of
from dina_lrm.console.common import CommandFailed, UserError, console, titled_progress
from dina_lrm.data.filtering import FilterPlan
from dina_lrm.data.named_source import NamedSource, named_source
from dina_lrm.data.sources.carded import check_carded, licence_beside, shown_source, write_carded
from dina_lrm.evaluation.named_sets import named_sets
from dina_lrm.rewards.image_scores import filtered
from dina_lrm.screen import table_of

_ABOUT = "Judgements of pictures that passed filters. The licence is that which the card of their source states."


def run(arguments: Arguments) -> dict[str, object]:
    """Score what the cheap filters keep where MPCF asks for it, filter, write, and say what was removed."""
    check_carded(arguments.out)
    source = source_of(arguments, named_source(arguments.source, arguments.path))
    plan, shown = _plan(arguments), console(arguments.quiet)
    kept = filtered(source.comparisons, plan, arguments.rewards(), titled_progress(arguments.quiet, "comparison"))
    of = DataSet("Filtered comparisons", _ABOUT, {"read from": shown_source(source)}, licence_beside(source.path))
    written = write_carded(arguments.out, kept, of, lambda: filters_table([*map(astuple, kept.report())]))
    report, unread = kept.report(), source.tables_left_out()
    rows = [(row.name, row.seen, row.removed, row.why) for row in report]
    shown.print(table_of(("filter", "seen", "removed", "why"), rows, arguments.source))
    say_left_out(unread, shown)
    result: dict[str, object] = {
        "out": arguments.out,
        "tables_left_out": unread,
        "seen": report[0].seen,
        "kept": written,
        "filters": [asdict(row) for row in report],
    }
    if written == 0:
        told = f"no comparison is left of {report[0].seen}; {arguments.out} is empty"
        raise CommandFailed(f"{arguments.source}: {told}", result)
    shown.print(f"{written} of {report[0].seen} comparisons are in {arguments.out}")
    return result


def _plan(arguments: Arguments) -> FilterPlan:
    """The filters; UserError for test sets that are no comparisons in files."""
    tests = () if arguments.not_in is None else named_sets(arguments.not_in, option="--not-in")
    unread = [named.word for named in tests if named.source is None]
    if unread:
        raise UserError(f"--not-in {unread[0]}; accepted: files of comparisons, and hpdv3:test=PATH")
    return FilterPlan(
        drop_ties=arguments.drop_ties,
        min_confidence=arguments.min_confidence,
        require_confidence=arguments.require_confidence,
        min_votes=arguments.min_votes,
        min_agreement=arguments.min_agreement,
        not_in={test.name: NamedSource(test.source or "ours", test.path, test.split).comparisons for test in tests},
        deduplicate=arguments.deduplicate,
        mpcf=arguments.mpcf,
        pairs_per_prompt=arguments.pairs_per_prompt,
    )
