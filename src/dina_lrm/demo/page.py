"""The page of a demonstration: what came of it, pictures, one chart; everything else is folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from dina_lrm.demo.align import BeforeAndAfter
from dina_lrm.demo.folder import RankedPrompt
from dina_lrm.evaluation.interval import Interval
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.reports import plots
from dina_lrm.reports.alignment import VOTE_FILE
from dina_lrm.reports.blocks import (
    Block,
    Facts,
    Figure,
    Folded,
    Headline,
    Headlines,
    ImageGrid,
    ImageRow,
    Mark,
    Picture,
    Section,
    Text,
)
from dina_lrm.reports.evaluation import evaluation_sections
from dina_lrm.reports.first.chosen import by_gain, how_chosen
from dina_lrm.reports.first.verdicts import Verdict, Witness, accuracy_verdict, change_of, change_verdict, together
from dina_lrm.reports.html import write_report
from dina_lrm.reports.run_plots import training_curves
from dina_lrm.runs.metrics import METRICS_FILE, read_lines
from dina_lrm.screen import number_text

if TYPE_CHECKING:
    from dina_lrm.demo.run import Demonstration

_SHOWN: Final = 6
"""Prompts before and after the alignment."""
_RANKED: Final = 2
"""Rankings that are shown at once; the others are folded."""
_FRAMES: Final[Mapping[Mark, str]] = {"good": "the two truly best", "bad": "the two truly worst"}


def write_demo_page(
    path: Path,
    demonstration: Demonstration,
    sets: Mapping[str, EvaluationSet],
    ranking: Sequence[RankedPrompt],
    command: str,
) -> None:
    """Write the page: its verdict, the aligned generator, rankings, the three models; the rest is folded."""
    results = list(demonstration.results.values())
    full = evaluation_sections(results, lambda name, pair: _pictures(sets[name], pair))
    sections = [
        _alignment(demonstration.aligned),
        _rankings(ranking),
        _models(demonstration),
        _training(demonstration),
        *(replace(section, folded=True) for section in full),
    ]
    subtitle = f"Coloured shapes of a synthetic world, seed {demonstration.settings.seed}"
    title = "DiNa-LRM on the synthetic world"
    write_report(path, title, sections, subtitle, demo_verdict(demonstration), command)


def demo_verdict(demonstration: Demonstration) -> Verdict:
    """Whether the trained model judges better than a coin, and whether the aligned generator became better."""
    aligned = demonstration.aligned
    number = len(aligned.prompts)
    over = f"{number} prompt{'s' * (number != 1)}"
    gained = change_verdict([Witness("true utility", "truth", aligned.gain, over=over)], number)
    found, ceiling = _in_domain(demonstration, "ours")
    judged = accuracy_verdict("it", [("In domain", found, ceiling)])
    return together([("Reward model", judged), ("Aligned generator", gained)])


def _in_domain(demonstration: Demonstration, name: str) -> tuple[Interval, float | None]:
    result = demonstration.results[name]
    measured = result.of("in_domain")
    return measured.at(result.reference).accuracy.interval, measured.ceiling


def _models(demonstration: Demonstration) -> Section:
    (ours, ceiling), (random, _) = (_in_domain(demonstration, name) for name in ("ours", "random_backbone"))
    gap, run = change_of(random, ours), demonstration.outcomes["ours"]
    text = (
        f"Simulated people compared pictures for a prompt. Three models learned from the same {demonstration.pairs:,} "
        f"comparisons for {run.steps} steps: **ours** adapts a pretrained generator with LoRA, **frozen** leaves it as "
        "it is, **random_backbone** starts from random weights. The ceiling is a judge who knows the truth."
    )
    heads = Headlines(
        [
            Headline("In-domain accuracy", f"{ours.middle('.1f', percent=True)} %", ours.ends(".1f", percent=True)),
            Headline("Ceiling", f"{number_text(ceiling, '.1f', percent=True)} %", "the annotators' noise is the rest"),
            Headline(
                "Pretraining is worth", gap.middle("+.1f", percent=True), f"points ({gap.ends('+.1f', percent=True)})"
            ),
        ]
    )
    chart = Figure(plots.model_bars(list(demonstration.results.values())), "Each model on four sets. Chance is 50 %.")
    return Section("Three reward models", [Text(text), heads, chart])


def _rankings(ranking: Sequence[RankedPrompt]) -> Section:
    chosen = [row for row, _ in by_gain(np.array([ranked.rank_correlation for ranked in ranking]), _RANKED)]
    text = (
        "Picture files, ranked by the trained model: its favourite stands left. Under each picture are its score, its "
        "true utility (0 is flawless) and what is truly wrong with it. Shown are the prompts where score and truth "
        "agree least and most."
    )
    rest = [_ranked_row(ranked) for row, ranked in enumerate(ranking) if row not in chosen]
    blocks: list[Block] = [Text(text), ImageGrid([_ranked_row(ranking[row]) for row in chosen], frames=_FRAMES)]
    return Section("Best and worst pictures", [*blocks, Folded("The other prompts", [ImageGrid(rest)])])


def _ranked_row(ranked: RankedPrompt) -> ImageRow:
    order = np.argsort(ranked.utilities)
    worst, best = set(order[:2].tolist()), set(order[-2:].tolist())
    pictures = [
        Picture(
            image,
            f"{flaws}\nscore {_signed(score)}\nutility {number_text(utility)}",
            "good" if i in best else "bad" if i in worst else "",
        )
        for i, (image, score, utility, flaws) in enumerate(
            zip(ranked.images, ranked.scores, ranked.utilities, ranked.flaws, strict=True)
        )
    ]
    return ImageRow(ranked.prompt, pictures, f"rank correlation {number_text(ranked.rank_correlation)}")


def _alignment(aligned: BeforeAndAfter) -> Section:
    gain = aligned.gain
    chosen = by_gain(aligned.utility_after - aligned.utility_before, _SHOWN)
    text = (
        f"ReFL followed the gradient of the bundled reward model for {aligned.updates} updates. Below are the same "
        "prompts, which it did not train on, and the same noise before and after. "
        f"{how_chosen(chosen, len(aligned.prompts), 'true utility')} [Judge for yourself]({VOTE_FILE}), without "
        "knowing which is which."
    )
    heads = Headlines(
        [
            Headline("True utility", gain.middle("+.2f"), f"({gain.ends('+.2f')})"),
            _change("Held-out judge", aligned.golden_before, aligned.golden_after),
            _change("Reward, optimised", aligned.reward_before, aligned.reward_after),
        ]
    )
    rows = [
        ImageRow(
            aligned.prompts[row],
            [
                Picture(aligned.before[row], f"before\nutility {_signed(aligned.utility_before[row])}"),
                Picture(aligned.after[row], f"after\nutility {_signed(aligned.utility_after[row])}"),
            ],
            place,
        )
        for row, place in chosen
    ]
    return Section("Aligning a generator", [heads, Text(text), ImageGrid(rows, columns=3)])


def _change(name: str, before: float, after: float) -> Headline:
    return Headline(name, _signed(after - before), f"from {_signed(before)} to {_signed(after)}")


def _signed(value: float) -> str:
    return number_text(value, "+.2f")


def _training(demonstration: Demonstration) -> Section:
    blocks: list[Block] = []
    for name, outcome in demonstration.outcomes.items():
        plot = training_curves(read_lines(outcome.run / METRICS_FILE), ("loss", "accuracy"))
        blocks.append(Figure(plot, f"{name}: loss and accuracy on the training batches, at random noise levels."))
    seconds = {stage: f"{value:.1f} s" for stage, value in demonstration.stages.items()}
    return Section("Training", [*blocks, Facts(seconds)], folded=True)


def _pictures(chosen: EvaluationSet, pair: int) -> tuple[np.ndarray | Image.Image, np.ndarray | Image.Image]:
    assert chosen.pictures is not None
    return chosen.pictures(pair)
